package synth

import "time"

// day counts days since 1 January 1970.
type day int32

const (
	firstYear = 1880 // the calendar's first and last year
	lastYear  = 2030
)

// The ten years that the files cover.
var (
	coverFirst = date(2014, 1, 1)
	coverLast  = date(2023, 12, 31)
)

// placeholder is what sources write for a missing date: the SNDS forces
// missing dates to 1 January 1600.
const placeholder = "1600-01-01"

func date(year, month, d int) day {
	return day(time.Date(year, time.Month(month), d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// calendar spells days fast: ten bytes for each day from firstYear to lastYear.
type calendar struct {
	first day
	text  string
}

func newCalendar() calendar {
	c := calendar{first: date(firstYear, 1, 1)}
	end := date(lastYear, 12, 31)
	b := make([]byte, 0, 10*int(end-c.first+1))
	for d := c.first; d <= end; d++ {
		b = d.time().AppendFormat(b, time.DateOnly)
	}
	c.text = string(b)
	return c
}

// spell gives d as 2006-01-02.
func (c calendar) spell(d day) string {
	i := int(d-c.first) * 10
	return c.text[i : i+10]
}

func (c calendar) year(d day) int {
	t := c.spell(d)
	return int(t[0]-'0')*1000 + int(t[1]-'0')*100 + int(t[2]-'0')*10 + int(t[3]-'0')
}

func (c calendar) month(d day) int {
	t := c.spell(d)
	return int(t[5]-'0')*10 + int(t[6]-'0')
}

func (d day) time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// age is the age in whole years on a day, counting 365.25 days a year.
func age(born, on day) int { return int(on-born) * 100 / 36525 }
