#!/bin/sh
# Collects the licences of all crates that are linked into Floe: `deploy/licences.sh DIRECTORY`, after a build.
set -eu
out=$1
mkdir -p "$out"
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
cargo tree --locked --edges normal,build --prefix none --format '{p}|{l}' | sed 's/ (\*)$//' | sort -u >"$out/crates"
while IFS='|' read -r crate licence; do
    name=${crate%% *}
    version=${crate#* v}
    version=${version%% *}
    [ "$name" != floe ] || continue
    for file in "$registry"/*/"$name-$version"/LICEN[CS]E* "$registry"/*/"$name-$version"/COPYING* \
        "$registry"/*/"$name-$version"/NOTICE* "$registry"/*/"$name-$version"/COPYRIGHT*; do
        [ ! -f "$file" ] || { mkdir -p "$out/$name-$version"; cp "$file" "$out/$name-$version/"; }
    done
done <"$out/crates"
# whisper.cpp and libopus, which two of those crates bring as source.
for file in "$registry"/*/whisper-rs-sys-*/whisper.cpp/LICENSE "$registry"/*/*opus*/opus*/COPYING; do
    [ ! -f "$file" ] || { from=${file#"$registry"/*/}; cp "$file" "$out/$(echo "$from" | tr / -)"; }
done
