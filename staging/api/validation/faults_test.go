package validation_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// A file in testdata/faults is a table of faults of the object that begins the story file of its name: a line with an
// action and a patch, as in stories, then a line for each fault, indented.
//
//	create {spec: {type: Magic}}
//		spec.type: Unsupported value: "Magic": supported values: …
//
// {{n}} stands for n letters x, and @name for a text of phrases. The lines of metadata.txt hold for every kind.
var phrases = map[string]string{
	"@subdomain":   validation.IsDNS1123Subdomain("-")[0],
	"@label":       validation.IsDNS1123Label("-")[0],
	"@1035":        validation.IsDNS1035Label("-")[0],
	"@qualified":   validation.IsQualifiedName("a b")[0],
	"@value":       validation.IsValidLabelValue("a b")[0],
	"@key":         validation.IsConfigMapKey("a b")[0],
	"@cidentifier": validation.IsCIdentifier("a b")[0],
}

var xs = regexp.MustCompile(`{{(\d+)}}`)

func spell(text string) string {
	text = xs.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(s[2 : len(s)-2])
		return strings.Repeat("x", n)
	})
	for name, phrase := range phrases {
		text = strings.ReplaceAll(text, name, phrase)
	}
	return text
}

// faultsOf reads a table of faults.
func faultsOf(t *testing.T, file string) []story {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []story
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		fault, indented := strings.CutPrefix(line, "\t")
		switch {
		case line == "" || line[0] == '#':
		case indented:
			last := &out[len(out)-1]
			last.want = strings.TrimPrefix(last.want+"\n"+spell(fault), "\n")
		default:
			action, patch, ok := strings.Cut(line, " ")
			if !ok {
				t.Fatalf("%s: %q has no patch", file, line)
			}
			out = append(out, story{action: action, title: patch, patch: spell(patch)})
		}
	}
	return out
}

// baseOf reads the object that begins a story file, as JSON.
func baseOf(t *testing.T, file string) ([]byte, []story) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	base, stories := parse(string(text))
	raw, err := yaml.YAMLToJSONStrict([]byte(base))
	if err != nil {
		t.Fatalf("%v in\n%s", err, base)
	}
	return raw, stories
}

// TestFaults holds at least ten invalid objects for every kind, and a thousand in all, with what is said about each.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	n := newNarrator(t)
	common := faultsOf(t, "testdata/faults/metadata.txt")
	told, all := map[string]int{}, 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		base, stories := baseOf(t, file)
		obj := n.object(t, base)
		var faults []story
		if table := filepath.Join("testdata/faults", name+".txt"); exists(table) {
			faults = faultsOf(t, table)
		}
		for _, c := range common {
			if _, event := obj.(*corev1.Event); !transient(obj) && (!event || c.action != "update") { // of events the server compares the metadata
				faults = append(faults, c)
			}
		}
		t.Run(name, func(t *testing.T) {
			for _, f := range faults {
				t.Run(f.action+" "+f.title[:min(len(f.title), 80)], func(t *testing.T) {
					want := strings.Split(f.want, "\n")
					slices.Sort(want)
					if got := n.tell(t, base, f); f.want == "" || got != strings.Join(want, "\n") {
						t.Errorf("%s %s\ngot\n%s\nwant\n%s", f.action, f.title, got, f.want)
					}
				})
			}
		})
		stories = slices.DeleteFunc(stories, func(s story) bool { return s.want == "" })
		told[fmt.Sprintf("%T", obj)] += len(faults) + len(stories)
		all += len(faults) + len(stories)
	}
	for kind, count := range told {
		if count < 10 && kind != "*v1.TokenReview" { // of which one thing alone can be wrong: it has no token
			t.Errorf("%s has %d invalid objects, want at least 10", kind, count)
		}
	}
	if all < 1000 {
		t.Errorf("%d invalid objects in all, want at least 1000", all)
	}
	t.Logf("%d invalid objects of %d kinds", all, len(told))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
