package kind

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Column is one column of kubectl get.
type Column[T Object] struct {
	metav1.TableColumnDefinition
	Value func(obj T) any
}

// Text is a column of strings.
func Text[T Object](name string, value func(obj T) string) Column[T] {
	return Column[T]{
		TableColumnDefinition: metav1.TableColumnDefinition{Name: name, Type: "string"},
		Value:                 func(obj T) any { return value(obj) },
	}
}

// Number is a column of whole numbers.
func Number[T Object, N ~int | ~int32 | ~int64](name string, value func(obj T) N) Column[T] {
	return Column[T]{
		TableColumnDefinition: metav1.TableColumnDefinition{Name: name, Type: "integer"},
		Value:                 func(obj T) any { return int64(value(obj)) },
	}
}

// Flag is a column of booleans.
func Flag[T Object](name string, value func(obj T) bool) Column[T] {
	return Column[T]{
		TableColumnDefinition: metav1.TableColumnDefinition{Name: name, Type: "boolean"},
		Value:                 func(obj T) any { return value(obj) },
	}
}

// Name is the first column of nearly every kind.
func Name[T Object]() Column[T] {
	c := Text("Name", func(obj T) string { return obj.GetName() })
	c.Format = "name"
	c.Description = metav1.ObjectMeta{}.SwaggerDoc()["name"]
	return c
}

// Age is the time since creation.
func Age[T Object]() Column[T] {
	c := Since("Age", func(obj T) metav1.Time { return obj.GetCreationTimestamp() })
	c.Description = metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]
	return c
}

// Since is the time that has passed since an instant.
func Since[T Object](name string, value func(obj T) metav1.Time) Column[T] {
	return Text(name, func(obj T) string { return Ago(value(obj)) })
}

// Wide columns are printed with -o wide only.
func Wide[T Object](columns ...Column[T]) []Column[T] {
	for i := range columns {
		columns[i].Priority = 1
	}
	return columns
}

// Ago prints how long ago t was, as kubectl does: 5s, 3m, 2d, <unknown>.
func Ago(t metav1.Time) string {
	if t.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(t.Time))
}

// OrNone is s, or <none> when it is empty.
func OrNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

// Table prints obj, one object or a list, in columns.
func Table[T Object](ctx context.Context, obj, options runtime.Object, columns ...Column[T]) (*metav1.Table, error) {
	return table[T]{&Kind[T]{Columns: columns}}.ConvertToTable(ctx, obj, options)
}

type table[T Object] struct{ kind *Kind[T] }

func (k *Kind[T]) table() rest.TableConvertor {
	if len(k.Columns) == 0 {
		return rest.NewDefaultTableConvertor(k.GroupResource())
	}
	return table[T]{k}
}

// ConvertToTable implements rest.TableConvertor for one object or a list.
func (t table[T]) ConvertToTable(_ context.Context, o, options runtime.Object) (*metav1.Table, error) {
	var out metav1.Table
	add := func(item runtime.Object) error {
		obj, ok := item.(T)
		if !ok {
			return fmt.Errorf("printing %s: got %T", t.kind.GroupResource(), item)
		}
		row := metav1.TableRow{Cells: make([]any, len(t.kind.Columns)), Object: runtime.RawExtension{Object: item}}
		for i := range t.kind.Columns {
			row.Cells[i] = t.kind.Columns[i].Value(obj)
		}
		if t.kind.RowConditions != nil {
			row.Conditions = t.kind.RowConditions(obj)
		}
		out.Rows = append(out.Rows, row)
		return nil
	}
	if meta.IsListType(o) {
		if err := meta.EachListItem(o, add); err != nil {
			return nil, err
		}
	} else if err := add(o); err != nil {
		return nil, err
	}
	if m, err := meta.ListAccessor(o); err == nil {
		out.ResourceVersion, out.Continue, out.RemainingItemCount = m.GetResourceVersion(), m.GetContinue(), m.GetRemainingItemCount()
	} else if m, err := meta.CommonAccessor(o); err == nil {
		out.ResourceVersion = m.GetResourceVersion()
	}
	if opts, ok := options.(*metav1.TableOptions); !ok || !opts.NoHeaders {
		out.ColumnDefinitions = make([]metav1.TableColumnDefinition, len(t.kind.Columns))
		for i := range t.kind.Columns {
			out.ColumnDefinitions[i] = t.kind.Columns[i].TableColumnDefinition
		}
	}
	return &out, nil
}
