"""What a session must say of build/tests/stuckcalls, for test_sources.py and the test machines (tests/vm)."""


def wrong(threads, pid, stalls):
    """{thread's name: what was said of it instead}; threads: {tid: line}, of process pid, stalls: the session's findings."""
    differs, found = {}, {}
    for s in stalls:
        if s["tid"] in found:
            differs[f"{s['comm']}, once more"] = s["verdict"]
        found.setdefault(s["tid"], s)
    for tid, thread in threads.items():
        s = found.pop(tid, None)
        said = s and (s["verdict"], s["syscall"], s["fd"], -2 if s["timeout_ms"] is None else s["timeout_ms"], s["blocked_before_session"])
        want = (thread["verdict"], thread["call"], thread["fd"], thread["timeout_ms"], False) if thread["verdict"] else None
        if said != want:
            differs[thread["name"]] = said
        elif s and s["socket"] and s["socket"]["inode"] != thread["inode"]:
            differs[thread["name"]] = s["socket"]
        elif s and thread["lost"] and (s["other"] or {}).get("tid") != pid:
            differs[thread["name"]] = s["other"]
    differs.update({f"nobody's {s['tid']}": s["verdict"] for s in found.values()})
    return differs


def unnoticed(threads, summary):
    """Names of those whose peer has gone and whose call is not known to have ended."""
    over = {s["tid"] for s in summary["stalls"] if s["over"]}
    return [t["name"] for tid, t in threads.items() if t["verdict"] == "peer-silent" and tid not in over]
