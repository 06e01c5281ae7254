package permit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/havre-hub/havre/internal/realinput"
)

const (
	modulePath    = "github.com/havre-hub/havre/"
	warehousePath = modulePath + "internal/hub/warehouse"
)

// mayRead are the packages that may read rows of a snapshot: this one, which
// cuts them to a permit, and the warehouse, whose rows they are.
var mayRead = []string{modulePath + "internal/hub/permit", warehousePath}

// guarded are the methods of *warehouse.Snapshot that give rows about persons.
var guarded = []string{"Read", "OpenSQL"}

// TestOnlyPermitsReadRows type-checks every package of the programs and fails
// where one calls a guarded method of a snapshot, takes it as a value, or turns
// a snapshot into an interface that has it. Vocabulary look-ups are free.
func TestOnlyPermitsReadRows(t *testing.T) {
	root := realinput.Root(t)
	checked := 0
	fset := token.NewFileSet()
	packages, find := listed(t, root)
	imports := importer.ForCompiler(fset, "gc", find)
	for _, p := range packages {
		if strings.HasPrefix(p.ImportPath, modulePath+"cmd/") && slices.ContainsFunc(p.Deps, forTests) {
			t.Errorf("%s contains a package that is for tests", p.ImportPath)
		}
		if !slices.Contains(p.Deps, warehousePath) || slices.Contains(mayRead, p.ImportPath) || forTests(p.ImportPath) {
			continue
		}
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		for _, broken := range readsRows(t, fset, imports, p.ImportPath, files) {
			t.Errorf("%s: rows of a snapshot reach a study only through permit.View", broken)
		}
		checked++
	}
	if checked < 3 {
		t.Errorf("only %d packages were looked at", checked)
	}
}

// forTests says whether a package of the module is made for tests only.
func forTests(path string) bool {
	return strings.HasPrefix(path, modulePath) && strings.HasSuffix(path, "test")
}

// TestTheWallStands shows that each way around would be found.
func TestTheWallStands(t *testing.T) {
	fset := token.NewFileSet()
	_, find := listed(t, realinput.Root(t))
	imports := importer.ForCompiler(fset, "gc", find)
	for name, body := range map[string]string{
		"call":       `_, _ = s.Read(ctx, 0, warehouse.Want{})`,
		"sql":        `_, _ = s.OpenSQL(ctx, nil, nil, duck.Options{})`,
		"value":      `f := s.Read; _ = f`,
		"expression": `f := (*warehouse.Snapshot).Read; _ = f`,
		"argument":   `take(s)`,
		"variable":   `var r reader = s; _ = r`,
		"assignment": `var r reader; r = s; _ = r`,
		"field":      `_ = holder{s}`,
		"result":     `_ = func() reader { return s }`,
		"conversion": `_ = reader(s)`,
		"list":       `_ = []reader{s}`,
		"embedded":   `type e struct{ *warehouse.Snapshot }; _, _ = e{s}.Read(ctx, 0, warehouse.Want{})`,
		"allowed":    `_ = s.Buckets(); _, _ = s.Concepts(ctx, nil); any(s)`,
	} {
		if name == "allowed" {
			body = strings.Replace(body, "any(s)", "_ = any(s)", 1)
		}
		text := `package p
import ("context"; "github.com/apache/arrow-go/v18/arrow"; "github.com/havre-hub/havre/internal/ground/duck"; "github.com/havre-hub/havre/internal/hub/warehouse")
type reader interface{ Read(context.Context, int, warehouse.Want) ([]arrow.RecordBatch, error) }
type holder struct{ r reader }
func take(reader) {}
var _ duck.Options
func f(ctx context.Context, s *warehouse.Snapshot) { ` + body + ` }`
		f, err := parser.ParseFile(fset, name+".go", text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if found := readsRows(t, fset, imports, modulePath+"internal/p", []*ast.File{f}); (len(found) > 0) != (name != "allowed") {
			t.Errorf("%s: %v", name, found)
		}
	}
}

type listedPackage struct {
	ImportPath, Dir, Export string
	GoFiles, Deps           []string
	Standard                bool
}

// listed gives the packages of the module and a way to their compiled types.
func listed(t *testing.T, root string) ([]listedPackage, importer.Lookup) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Dir,Export,GoFiles,Deps,Standard", "./internal/...", "./cmd/...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	exports := map[string]string{}
	var own []listedPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, modulePath) {
			own = append(own, p)
		}
	}
	return own, func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no compiled types of %s", path)
		}
		return os.Open(exports[path])
	}
}

// readsRows gives the places where a package reaches for the rows of a snapshot.
func readsRows(t *testing.T, fset *token.FileSet, imports types.Importer, path string, files []*ast.File) (places []string) {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: imports}
	if _, err := conf.Check(path, fset, files, info); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	found := func(n ast.Node, what string) { places = append(places, fset.Position(n.Pos()).String()+" ("+what+")") }
	// into reports an expression of snapshot type that lands in an interface with a guarded method.
	into := func(to types.Type, e ast.Expr) {
		if to != nil && isSnapshot(info.TypeOf(e)) && hasGuarded(to) {
			found(e, "as an interface")
		}
	}
	for _, f := range files {
		var results []*types.Tuple // of the functions around a node
		var walk func(ast.Node) bool
		walk = func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					results = append(results, info.Defs[n.Name].Type().(*types.Signature).Results())
					ast.Inspect(n.Body, walk)
					results = results[:len(results)-1]
				}
				return false
			case *ast.FuncLit:
				results = append(results, info.TypeOf(n).(*types.Signature).Results())
				ast.Inspect(n.Body, walk)
				results = results[:len(results)-1]
				return false
			case *ast.SelectorExpr:
				if s := info.Selections[n]; s != nil && slices.Contains(guarded, n.Sel.Name) {
					if m, ok := s.Obj().(*types.Func); ok && isSnapshot(m.Signature().Recv().Type()) {
						found(n, n.Sel.Name)
					}
				}
			case *ast.CallExpr:
				if tv := info.Types[n.Fun]; tv.IsType() {
					into(tv.Type, n.Args[0])
				} else if sig, ok := tv.Type.(*types.Signature); ok {
					for i, arg := range n.Args {
						into(parameter(sig, i), arg)
					}
				}
			case *ast.AssignStmt:
				if len(n.Lhs) == len(n.Rhs) {
					for i := range n.Lhs {
						into(info.TypeOf(n.Lhs[i]), n.Rhs[i])
					}
				}
			case *ast.ValueSpec:
				for i, v := range n.Values {
					if i < len(n.Names) && n.Type != nil {
						into(info.TypeOf(n.Type), v)
					}
				}
			case *ast.ReturnStmt:
				if r := results[len(results)-1]; r.Len() == len(n.Results) {
					for i, v := range n.Results {
						into(r.At(i).Type(), v)
					}
				}
			case *ast.CompositeLit:
				literal(info, n, into)
			case *ast.SendStmt:
				if c, ok := info.TypeOf(n.Chan).Underlying().(*types.Chan); ok {
					into(c.Elem(), n.Value)
				}
			}
			return true
		}
		ast.Inspect(f, walk)
	}
	return places
}

func literal(info *types.Info, n *ast.CompositeLit, into func(types.Type, ast.Expr)) {
	t := info.TypeOf(n).Underlying()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem().Underlying()
	}
	for i, e := range n.Elts {
		value, key := e, ast.Expr(nil)
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			value, key = kv.Value, kv.Key
		}
		switch t := t.(type) {
		case *types.Struct:
			if id, ok := key.(*ast.Ident); ok {
				into(info.ObjectOf(id).Type(), value)
			} else if i < t.NumFields() {
				into(t.Field(i).Type(), value)
			}
		case *types.Slice:
			into(t.Elem(), value)
		case *types.Array:
			into(t.Elem(), value)
		case *types.Map:
			into(t.Elem(), value)
		}
	}
}

// parameter is the type that argument i must have.
func parameter(sig *types.Signature, i int) types.Type {
	n := sig.Params().Len()
	if sig.Variadic() && i >= n-1 {
		if s, ok := sig.Params().At(n - 1).Type().(*types.Slice); ok {
			return s.Elem()
		}
		return nil
	}
	if i < n {
		return sig.Params().At(i).Type()
	}
	return nil
}

func isSnapshot(t types.Type) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := t.(*types.Named)
	return ok && n.Obj().Name() == "Snapshot" && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == warehousePath
}

func hasGuarded(t types.Type) bool {
	i, ok := t.Underlying().(*types.Interface)
	if !ok {
		return false
	}
	for m := range i.Methods() {
		if slices.Contains(guarded, m.Name()) {
			return true
		}
	}
	return false
}
