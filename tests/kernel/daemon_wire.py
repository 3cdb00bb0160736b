"""How the test daemon frames its RPCs (tests/target/rpc/wire.h), as a spec, for test_framing.py and the test machines (tests/vm)."""

METHODS = ["GetVExtentLease", "ListDb", "ListChunk", "Ping", "PutSnapshot"]
NAMES = [f"zbs.meta.MetaService.{method}" for method in METHODS]


def fnv1a(name):
    value = 14695981039346656037
    for c in name.encode():
        value = ((value ^ c) * 1099511628211) % 2 ** 64
    return value


SPEC = ("[rpc daemon]\nchannel = google::protobuf::RpcChannel::CallMethod\n"
        'magic = 0:"ZBSR"\nheader = 32\nlength = 8:u32le\nrequest = 6:u16le=1\nresponse = 6:u16le=2\n'
        "error = 12:u32le\nid = 16:u64le\nmethod = 24:u64le\n"
        + "".join(f"method_name = {fnv1a(name):#x} {name}\n" for name in NAMES))
