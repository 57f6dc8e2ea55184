// Package quantities keeps those quantities out that cost seconds to read, such as "1e-10000000": a resource.Quantity is a
// decimal number of any size, which its parser and each sum of it write out digit by digit.
//
// A quantity is at most 2^63-1 and a multiple of 10^-9 (k8s.io/apimachinery/pkg/api/resource): what is refused here, an
// exponent beyond ±99 or more than 100 characters, has no use.
package quantities

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxLength   = 100 // characters
	maxExponent = 2   // digits, leading zeros aside
)

// Error says that a quantity is out of bounds.
type Error struct{ Value string }

func (e *Error) Error() string {
	value := e.Value
	if len(value) > maxLength {
		value = value[:maxLength] + "…"
	}
	return fmt.Sprintf("quantity %q: must have at most %d characters and an exponent between -99 and 99", value, maxLength)
}

// excessive tells whether a text reads as a quantity that is out of bounds. Of what is no quantity the parser says so at once.
func excessive(text string) bool {
	text = strings.TrimSpace(text)
	rest := strings.TrimLeft(text, "0123456789.+-")
	if len(rest) == len(text) {
		return false
	}
	suffix := strings.TrimLeft(rest, "eEinumkKMGTP")
	exponent := strings.TrimLeft(suffix, "+-")
	if strings.Trim(exponent, "0123456789") != "" {
		return false
	}
	exponent = strings.TrimLeft(exponent, "0")
	return len(text) > maxLength || len(exponent) > maxExponent
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func numeric(c byte) bool { return digit(c) || c == '.' || c == '+' || c == '-' }

// stride is so short that no number of maxLength characters hides between two looks.
const stride = maxLength - 20

// suspect is where from on a body may hold an excessive quantity in plain characters: at the exponent, or in the middle of
// the digits. It is negative when there is none.
func suspect(data []byte, from int) int {
	for i := max(from, 1); i < len(data)-3; {
		if numeric(data[i]) && i%stride == 0 && long(data, i) {
			return i
		}
		end := min(len(data)-3, i-i%stride+stride)
		for ; i < end; i++ {
			if data[i]|0x20 == 'e' && numeric(data[i-1]) && exponent(data[i+1:]) {
				return i
			}
		}
	}
	return -1
}

// suspectText is suspect for bodies of text, where a quantity does not follow a letter, nor is followed by one.
func suspectText(data []byte) bool {
	for at := suspect(data, 0); at >= 0; at = suspect(data, at+1) {
		begin, end := at, at+1
		for begin > 0 && numeric(data[begin-1]) {
			begin--
		}
		for end < len(data) && numeric(data[end]) {
			end++
		}
		if numeric(data[at]) || (begin == 0 || !letter(data[begin-1]) || begin > 1 && data[begin-2] == '\\') && (end == len(data) || !letter(data[end])) {
			return true
		}
	}
	return false
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// exponent tells whether text starts with three digits, after a sign or none.
func exponent(text []byte) bool {
	if text[0] == '+' || text[0] == '-' {
		text = text[1:]
	}
	return len(text) > maxExponent && digit(text[0]) && digit(text[1]) && digit(text[2])
}

// long tells whether more than stride digits, dots and signs lie around a place.
func long(data []byte, at int) bool {
	begin, end := at, at
	for begin > 0 && numeric(data[begin-1]) && at-begin <= stride {
		begin--
	}
	for end < len(data) && numeric(data[end]) && end-at <= stride {
		end++
	}
	return end-begin > stride
}

// escaped tells whether a text in JSON, or in YAML's double quotes, writes a character of a number, or a space that may stand
// around one, as an escape.
func escaped(data []byte) bool {
	for {
		at := bytes.IndexByte(data, '\\')
		if at < 0 || at+1 >= len(data) {
			return false
		}
		switch next := data[at+1]; {
		case next == 'u' && at+6 <= len(data):
			c, err := strconv.ParseUint(string(data[at+2:at+6]), 16, 32)
			if err == nil && (c < 0x80 && (numeric(byte(c)) || c|0x20 == 'e') || unicode.IsSpace(rune(c))) {
				return true
			}
		case next == 'x' || next == 'U' || next == '\n' || next == '\r' || next >= 0x80: // YAML only
			return true
		}
		data = data[at+2:]
	}
}
