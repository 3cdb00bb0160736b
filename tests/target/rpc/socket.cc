#include "rpc/socket.h"

#include <cerrno>
#include <cstdlib>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace zbs::rpc
{

namespace
{

std::string AddressText(const struct sockaddr_in &address)
{
	char ip[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, &address.sin_addr, ip, sizeof(ip));
	return std::string(ip) + ":" + std::to_string(ntohs(address.sin_port));
}

} // namespace

std::string Endpoint::Text() const
{
	return host + ":" + std::to_string(port);
}

bool ParseEndpoint(const std::string &text, Endpoint *endpoint)
{
	size_t colon = text.rfind(':');
	struct in_addr ip;
	char *end;

	if (colon == std::string::npos)
		return false;
	endpoint->host = text.substr(0, colon);
	unsigned long port = strtoul(text.c_str() + colon + 1, &end, 10);
	endpoint->port = static_cast<uint16_t>(port);
	return *end == '\0' && port > 0 && port < 65536 &&
	       inet_pton(AF_INET, endpoint->host.c_str(), &ip) == 1;
}

int NewSocket()
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0)
		return -1;
	// Probes every second, so that the age of the last ack tells whether the peer's kernel is alive.
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int ConnectSocket(int fd, const Endpoint &endpoint)
{
	struct sockaddr_in address = {};

	address.sin_family = AF_INET;
	address.sin_port = htons(endpoint.port);
	inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr);
	return connect(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address));
}

int ListenSocket(uint16_t port, int backlog)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {};
	int one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	address.sin_family = AF_INET;
	address.sin_port = htons(port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)) < 0 ||
	    listen(fd, backlog) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

uint16_t LocalPort(int fd)
{
	struct sockaddr_in address = {};
	socklen_t length = sizeof(address);

	if (getsockname(fd, reinterpret_cast<struct sockaddr *>(&address), &length) < 0)
		return 0;
	return ntohs(address.sin_port);
}

bool SendAll(int fd, const void *data, size_t length)
{
	const char *at = static_cast<const char *>(data);

	while (length) {
		ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		at += sent;
		length -= static_cast<size_t>(sent);
	}
	return true;
}

bool ReceiveAll(int fd, void *data, size_t length)
{
	char *at = static_cast<char *>(data);

	while (length) {
		ssize_t got = recv(fd, at, length, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		length -= static_cast<size_t>(got);
	}
	return true;
}

std::string LocalAddress(int fd)
{
	struct sockaddr_in address = {};
	socklen_t length = sizeof(address);

	if (getsockname(fd, reinterpret_cast<struct sockaddr *>(&address), &length) < 0)
		return "";
	return AddressText(address);
}

std::string RemoteAddress(int fd)
{
	struct sockaddr_in address = {};
	socklen_t length = sizeof(address);

	if (getpeername(fd, reinterpret_cast<struct sockaddr *>(&address), &length) < 0)
		return "";
	return AddressText(address);
}

uint64_t SocketInode(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

} // namespace zbs::rpc
