/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of network interfaces: see switch/tap.h. rtnetlink(7). */
#include "switch/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr header;
	struct ifaddrmsg message;
	uint8_t attributes[2 * RTA_SPACE(sizeof(struct in6_addr))];
};

struct answer {
	struct nlmsghdr header;
	struct nlmsgerr error;
	uint8_t rest[512]; /* the request again */
};

static void add_attribute(struct request *request, unsigned short type,
			  const struct address *address)
{
	size_t bytes = address_bits(address) / 8, at = NLMSG_ALIGN(request->header.nlmsg_len);
	struct rtattr attribute = { .rta_type = type,
				    .rta_len = (unsigned short)RTA_LENGTH(bytes) };
	uint8_t *end = (uint8_t *)request + at;

	memcpy(end, &attribute, sizeof(attribute));
	memcpy(end + RTA_LENGTH(0), address->bytes, bytes);
	request->header.nlmsg_len = (uint32_t)(at + RTA_LENGTH(bytes));
}

/* 0 or -errno, the kernel's too. */
static int ask(const struct request *request)
{
	struct answer answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), ret;
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = send(fd, request, request->header.nlmsg_len, 0);
	if (got > 0)
		got = recv(fd, &answer, sizeof(answer), 0);
	ret = got < 0 ? -errno : 0;
	close(fd);
	if (!ret && ((size_t)got < NLMSG_LENGTH(sizeof(answer.error)) ||
		     answer.header.nlmsg_type != NLMSG_ERROR))
		ret = -EPROTO;
	return ret ? ret : answer.error.error;
}

static int change(unsigned short type, unsigned flags, unsigned index,
		  const struct address *address)
{
	struct request request = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(request.message)),
			    .nlmsg_type = type,
			    .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags) },
		.message = { .ifa_family = (uint8_t)address->family,
			     .ifa_prefixlen = (uint8_t)address->length,
			     .ifa_index = index,
			     .ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0 },
	};

	add_attribute(&request, IFA_LOCAL, address);
	add_attribute(&request, IFA_ADDRESS, address);
	return ask(&request);
}

int tap_add_address(unsigned index, const struct address *address, struct error *err)
{
	int ret = change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);

	if (ret == -EEXIST)
		ret = 0;
	return ret ? error_set(err, ret, "an address cannot be given to the host's adapter: %s",
			       strerror(-ret))
		   : 0;
}

int tap_remove_address(unsigned index, const struct address *address, struct error *err)
{
	int ret = change(RTM_DELADDR, 0, index, address);

	if (ret == -EADDRNOTAVAIL)
		ret = 0;
	return ret ? error_set(err, ret, "an address of the host's adapter cannot be removed: %s",
			       strerror(-ret))
		   : 0;
}
