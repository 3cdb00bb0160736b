#!/usr/bin/python3
"""truth.py IN OUT: rec.pb.h with setters that log their caller: each public one of st:: calls st_truth() first."""
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
text = text.replace("PROTOBUF_ALWAYS_INLINE", "")
setter = re.compile(r"^(?:[\w:<>*&\s]*?)\b(?:Rec|Inner)::((?:unsafe_arena_)?(?:set|mutable|clear|add|release)_\w+)\([^{;]*\{", re.M)
text, n = setter.subn(lambda m: f'{m.group(0)}\n  st_truth(this, "{m.group(1)}", __builtin_return_address(0));', text)
assert n > 60, n
open(sys.argv[2], "w", encoding="utf-8").write(text)
