// Thin helpers around sockets: blocking transfers of a whole buffer, addresses as text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace zbs::rpc
{

struct Endpoint {
	std::string host; // dotted IPv4
	uint16_t port = 0;
	std::string Text() const;
};

// Parses HOST:PORT with a numeric IPv4 host.
bool ParseEndpoint(const std::string &text, Endpoint *endpoint);

// A TCP socket with keepalive, not connected. -1 and errno on failure.
int NewSocket();
// Blocks until the connection stands or fails. 0 or -1 and errno.
int ConnectSocket(int fd, const Endpoint &endpoint);
// Listens on 127.0.0.1 (port 0: any). -1 and errno on failure.
int ListenSocket(uint16_t port, int backlog);
uint16_t LocalPort(int fd);

// Block until all bytes are through. False at end of file or on an error.
bool SendAll(int fd, const void *data, size_t length);
bool ReceiveAll(int fd, void *data, size_t length);

// "ip:port" of either end, or "" when there is none.
std::string LocalAddress(int fd);
std::string RemoteAddress(int fd);
uint64_t SocketInode(int fd);

} // namespace zbs::rpc
