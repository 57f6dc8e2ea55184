#!/usr/bin/env bash
# Tells where files that follow from others are behind: go.work and the modules, each module's go.mod and go.sum,
# their versions across the workspace, generated code. Nothing of the work tree is changed.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
behind() { echo "$1"; status=1; }

listed=$(printf '%s\n' "$@" | sort)
there=$(git ls-files '*go.mod' ':!build/thirdparty' | sed 's|/go.mod$||' | sort)
[ "$listed" = "$there" ] || behind "go.work and the modules differ: $(diff <(echo "$listed") <(echo "$there") | grep '^[<>]' | tr '\n' ' ')(< is in go.work alone, > in no go.work)"

for m in "$@"; do
	(cd "$m" && GOWORK=off go mod tidy -diff) || behind "go mod tidy is due in $m"
done

# What rewrites files does so in a copy of the work tree.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null | tar -c -T - | tar -x -C "$copy"
(cd "$copy" && GOWORK= go work sync && make --no-print-directory generate) || behind "go work sync or make generate failed"
for f in $(git ls-files 'go.work*' '*go.mod' '*go.sum' '*zz_generated*'); do
	cmp -s "$f" "$copy/$f" || behind "$f is behind: go work sync and make generate bring it up to date"
done
exit $status
