// Package scale says what a study needs on more machines than there are to try
// it on: buckets, memory, machines, hours, money. It is arithmetic over costs
// that were measured on one small machine; docs/performance.md names the command
// behind each and says how far they are stretched.
package scale

import (
	"fmt"
	"math"
	"time"

	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/hub/warehouse"
)

// Costs are measured, on one core of the machine of docs/performance.md.
type Costs struct {
	RowOne       time.Duration // fetch, open, cut to the permit and map one row under one definition
	RowEach      float64       // nanoseconds more for each further definition of a dense library
	SealedRow    float64       // bytes of a row in the store
	HeapRow      float64       // bytes of memory for a row of the bucket that is being mapped
	HeapBase     int64         // bytes of a worker process besides
	Segment      time.Duration // plan one segment at the hub: fetch its head, open its key
	PlanOpen     time.Duration // a worker process opens a plan of one definition
	PlanOpenEach time.Duration // and for each further definition
	Chunk        time.Duration // Spark: one task
	Start        time.Duration // Spark: start of an application
	PartialEach  float64       // bytes of a partial result for each definition
	MergeByte    float64       // nanoseconds to open, check and merge a byte of partial result
	MergeOne     time.Duration // and for each partial result
}

// Measured are the costs of BenchmarkBucket, BenchmarkSpark (package app),
// BenchmarkMerge and BenchmarkMemory (package study).
var Measured = Costs{
	RowOne: 122 * time.Nanosecond, RowEach: 1.62, SealedRow: 19.7, HeapRow: 213, HeapBase: 120 << 20,
	Segment: 70 * time.Microsecond, PlanOpen: 12 * time.Millisecond, PlanOpenEach: 3 * time.Millisecond,
	Chunk: 60 * time.Millisecond, Start: 10 * time.Second,
	PartialEach: 62, MergeByte: 15, MergeOne: 250 * time.Microsecond,
}

// Case is what is asked.
type Case struct {
	Persons, Rows int64
	Definitions   int // cohort definitions in the study
	Tables        int // tables that it reads, for the number of segments
	Deliveries    int // that the rows came in: each adds a segment to each table of each bucket
	Buckets       int // 0: chosen
	Machines      int
	Cores         int     // of each machine
	Memory        int64   // bytes of each machine
	Bandwidth     float64 // bytes a second from the store to each machine
	CoreHour      float64 // price, in any money
	StoreMonth    float64 // price of a GB (10^9 bytes) in the store for a month
}

// Answer is what the case needs.
type Answer struct {
	Buckets        int           `json:"buckets"`
	PersonsBucket  float64       `json:"persons_per_bucket"`
	RowsBucket     float64       `json:"rows_per_bucket"`
	Skew           float64       `json:"largest_to_median"` // of rows in a bucket
	Stored         int64         `json:"bytes_stored"`
	ProcessMemory  int64         `json:"bytes_of_memory_per_process"` // for the largest bucket
	Processes      int           `json:"processes_per_machine"`
	CoreHours      float64       `json:"core_hours"`
	Plan           time.Duration `json:"plan_ns"`  // at the hub, one core
	Map            time.Duration `json:"map_ns"`   // on all machines
	Fetch          time.Duration `json:"fetch_ns"` // all bytes to all machines, at the same time as map
	Merge          time.Duration `json:"merge_ns"` // at the hub, two cores, while buckets come in
	Total          time.Duration `json:"total_ns"`
	RunMoney       float64       `json:"money_per_run"`
	StoreMoney     float64       `json:"money_per_month_for_the_store"`
	PartialsAtOnce int64         `json:"bytes_of_partials"`
}

// largestBucket is how many rows a bucket should have at most: more, and a
// process needs more memory than a core has its share of.
const largestBucket = 8 << 20

// Answer works the case out.
func (c Case) Answer(m Costs) (Answer, error) {
	if c.Persons < 1 || c.Rows < c.Persons || c.Definitions < 1 || c.Tables < 1 || c.Deliveries < 1 || c.Machines < 1 || c.Cores < 1 || c.Memory < 1 || c.Bandwidth <= 0 {
		return Answer{}, havre.E("plan", havre.Usage, "persons, rows, definitions, tables, deliveries, machines, cores, memory and bandwidth are numbers above zero, and there are no fewer rows than persons")
	}
	var a Answer
	if a.Buckets = c.Buckets; a.Buckets == 0 {
		for a.Buckets = warehouse.DefaultBuckets; a.Buckets < warehouse.MaxBuckets && float64(c.Rows)/float64(a.Buckets) > largestBucket; {
			a.Buckets *= 2
		}
	}
	buckets := float64(a.Buckets)
	a.PersonsBucket, a.RowsBucket = float64(c.Persons)/buckets, float64(c.Rows)/buckets
	a.Skew = Skew(a.PersonsBucket, buckets)
	a.Stored = int64(float64(c.Rows) * m.SealedRow)
	a.ProcessMemory = m.HeapBase + int64(a.RowsBucket*a.Skew*m.HeapRow)
	a.Processes = min(c.Cores, int(c.Memory*9/10/a.ProcessMemory))
	if a.Processes < 1 {
		return a, havre.E("plan", havre.Usage, fmt.Sprintf("a bucket needs %.1f GiB of memory, and a machine has %.1f", float64(a.ProcessMemory)/(1<<30), float64(c.Memory)/(1<<30))).
			WithHint("more buckets, or larger machines")
	}
	more := float64(c.Definitions - 1)
	work := float64(c.Rows) * (float64(m.RowOne.Nanoseconds()) + more*m.RowEach)
	processes := float64(c.Machines * a.Processes)
	chunk := math.Max(1, math.Min(16, buckets/(2*processes)))
	work += buckets/chunk*float64(m.Chunk) + processes*(float64(m.PlanOpen)+more*float64(m.PlanOpenEach))
	a.CoreHours = work / float64(time.Hour)
	// The last bucket to end is a largest one that began when all others ended.
	a.Map = time.Duration(work/processes + work/buckets*a.Skew)
	a.Fetch = time.Duration(float64(a.Stored) / c.Bandwidth / float64(c.Machines) * float64(time.Second))
	a.Plan = time.Duration(buckets*float64(c.Tables*c.Deliveries)) * m.Segment
	a.PartialsAtOnce = int64(buckets * float64(c.Definitions) * m.PartialEach)
	a.Merge = time.Duration((float64(a.PartialsAtOnce)*m.MergeByte + buckets*float64(m.MergeOne)) / 2)
	a.Total = max(a.Plan, m.Start) + max(a.Map, a.Fetch, a.Merge) // the plan is made while Spark starts
	a.RunMoney = a.Total.Hours() * float64(c.Machines*c.Cores) * c.CoreHour
	a.StoreMoney = float64(a.Stored) / 1e9 * c.StoreMonth
	return a, nil
}

// Skew is the largest bucket against the median one, for rows of persons spread
// by a keyed hash: each bucket is a random sample, so its rows vary by the square
// root of (1+v^2)/persons, where v = 1 is how much persons vary in their rows.
// The largest of so many lies about sqrt(2 ln buckets) deviations out.
// BenchmarkSkew measures it.
func Skew(persons, buckets float64) float64 {
	return 1 + math.Sqrt(2*math.Log(math.Max(buckets, 2)))*math.Sqrt(2/math.Max(persons, 1))
}
