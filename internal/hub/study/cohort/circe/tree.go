package circe

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a document, so that a hostile one cannot
// exhaust the stack.
const maxDepth = 200

// node is one JSON value with its place in the document ("$.ConceptSets[0].id").
// Exactly one of the fields below path is set, by kind.
type node struct {
	path    string
	kind    nodeKind
	text    string // of a string or number
	truth   bool
	items   []node   // of a list
	members []member // of an object, in the order of the document
}

type member struct {
	name  string
	value node
}

type nodeKind int

const (
	nullNode nodeKind = iota
	boolNode
	numberNode
	stringNode
	listNode
	objectNode
)

func (k nodeKind) String() string {
	return [...]string{"null", "true or false", "a number", "text", "a list", "an object"}[k]
}

// parseTree reads one JSON document. Unlike encoding/json it refuses a name
// that stands twice in one object: which of the two would count?
func parseTree(data []byte) (node, error) {
	if !utf8.Valid(data) {
		return node{}, errors.New("the document is not UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	root, err := readNode(dec, "$", 0)
	if err != nil {
		return node{}, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return node{}, errors.New("something follows the end of the document")
	}
	return root, nil
}

func readNode(dec *json.Decoder, path string, depth int) (node, error) {
	if depth > maxDepth {
		return node{}, errors.New("the document is nested too deeply")
	}
	tok, err := dec.Token()
	if err == io.EOF {
		return node{}, io.ErrUnexpectedEOF
	}
	if err != nil {
		return node{}, err
	}
	n := node{path: path}
	switch v := tok.(type) {
	case nil:
		n.kind = nullNode
	case bool:
		n.kind, n.truth = boolNode, v
	case json.Number:
		n.kind, n.text = numberNode, v.String()
	case string:
		n.kind, n.text = stringNode, v
	case json.Delim:
		if v == '[' {
			return readList(dec, n, depth)
		}
		return readObject(dec, n, depth)
	}
	return n, nil
}

func readList(dec *json.Decoder, n node, depth int) (node, error) {
	n.kind = listNode
	for dec.More() {
		item, err := readNode(dec, n.path+"["+strconv.Itoa(len(n.items))+"]", depth+1)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token()
	return n, err
}

func readObject(dec *json.Decoder, n node, depth int) (node, error) {
	n.kind = objectNode
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return node{}, err
		}
		name, ok := tok.(string)
		if !ok {
			return node{}, errors.New("an object has a name that is no text")
		}
		if seen[name] {
			return node{}, errors.New(strconv.Quote(name) + " stands twice in " + n.path)
		}
		seen[name] = true
		value, err := readNode(dec, n.path+"."+name, depth+1)
		if err != nil {
			return node{}, err
		}
		n.members = append(n.members, member{name, value})
	}
	_, err := dec.Token()
	return n, err
}
