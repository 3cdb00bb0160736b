# Run by gdb (source): prints the frames of all threads, one "thread TID" line each, then
# "ADDRESS|NAME|FILE|LINE|normal, inlined, tailcall or signal".
import gdb

KINDS = {gdb.NORMAL_FRAME: "normal", gdb.INLINE_FRAME: "inlined", gdb.TAILCALL_FRAME: "tailcall", gdb.SIGTRAMP_FRAME: "signal"}

for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.ptid[1]):
    thread.switch()
    print("\nthread %d" % thread.ptid[1])
    frame = gdb.newest_frame()
    while frame is not None:
        sal = frame.find_sal()
        print("%x|%s|%s|%d|%s" % (frame.pc(), frame.name() or "??", sal.symtab.filename if sal.symtab else "-", sal.line, KINDS.get(frame.type(), "other")))
        frame = frame.older()
