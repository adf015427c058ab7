/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TAPs, and the frames of a card: see switch/tap.h. */
#include "switch/tap.h"

#include "switch/card.h"
#include "switch/descriptor.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TUN_DEVICE  "/dev/net/tun"
#define PATH_BYTES  64
#define NAME_PREFIX "vEth-"

/* --- a TAP --- */

/* The descriptor, with the interface's name in *name; -errno. One that is there is not ours. */
static int create_tap(char name[IFNAMSIZ])
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL) };
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, name, IFNAMSIZ);
	if (ioctl(fd, TUNSETIFF, &request))
		ret = -errno;
	memcpy(name, request.ifr_name, IFNAMSIZ);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* vEth- and what of the switch's name may be in an interface's. */
static void make_name(char name[IFNAMSIZ], const char *switch_name)
{
	size_t len = sizeof(NAME_PREFIX) - 1;

	memset(name, 0, IFNAMSIZ);
	memcpy(name, NAME_PREFIX, len);
	for (const char *p = switch_name; *p && len < IFNAMSIZ - 1; p++) {
		if (isalnum((unsigned char)*p) || *p == '-' || *p == '_' || *p == '.')
			name[len++] = *p;
	}
}

static int configure(const char *name, unsigned long what, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	snprintf(request->ifr_name, IFNAMSIZ, "%s", name);
	ret = ioctl(fd, what, request) ? -errno : 0;
	close(fd);
	return ret;
}

static int set_up(const char *name)
{
	struct ifreq request = { 0 };
	int ret = configure(name, SIOCGIFFLAGS, &request);

	request.ifr_flags |= IFF_UP;
	return ret ? ret : configure(name, SIOCSIFFLAGS, &request);
}

static int set_mac(const char *name, const uint8_t mac[FRAME_MAC_BYTES])
{
	struct ifreq request = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };

	memcpy(request.ifr_hwaddr.sa_data, mac, FRAME_MAC_BYTES);
	return configure(name, SIOCSIFHWADDR, &request);
}

/* What a guest advertises as a router does not lead the host's own traffic to it. */
static int ignore_routers(const char *name)
{
	char path[PATH_BYTES];
	FILE *file;
	int ret = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", name);
	file = fopen(path, "we");
	if (!file)
		return errno == ENOENT ? 0 : -EPERM; /* no IPv6; or not ours to say */
	if (fputs("0", file) < 0)
		ret = -EPERM;
	return fclose(file) ? -EPERM : ret;
}

/* For people to see, and for Get-NetAdapter, which leaves such ones out. */
static void set_alias(const char *name, const char *switch_name)
{
	char path[PATH_BYTES];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/net/%s/ifalias", name);
	file = fopen(path, "we");
	if (!file)
		return;
	fprintf(file, "vEthernet (%s)", switch_name);
	fclose(file);
}

/* ret: of what was done to it so far. index: for tap_index. */
static int adopt_tap(struct net *out, uv_loop_t *loop, int fd, const char *name, unsigned index,
		     int ret, struct error *err)
{
	if (!ret)
		ret = set_up(name);
	if (ret)
		close(fd);
	else
		ret = descriptor_open(out, loop, fd, index);
	if (ret)
		error_set(err, ret, "network interface '%s': %s", name, strerror(-ret));
	return ret;
}

int tap_open_host(struct net *out, uv_loop_t *loop, const char *switch_name,
		  const uint8_t mac[FRAME_MAC_BYTES], struct error *err)
{
	char name[IFNAMSIZ];
	int fd, ret;

	make_name(name, switch_name);
	fd = create_tap(name);
	if (fd == -EBUSY) {
		memset(name, 0, sizeof(name));
		memcpy(name, "vEth%d", sizeof("vEth%d"));
		fd = create_tap(name);
	}
	if (fd < 0)
		return error_set(err, fd, TUN_DEVICE ": %s", strerror(-fd));
	set_alias(name, switch_name);
	ret = ignore_routers(name);
	ret = ret ? ret : set_mac(name, mac);
	return adopt_tap(out, loop, fd, name, if_nametoindex(name), ret, err);
}

unsigned tap_index(const struct net *tap)
{
	unsigned index = descriptor_index(tap);

	return index ? index : card_index(tap);
}

/* --- uplinks --- */

static bool is_bridge(const char *device)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_data = (void *)&info };

	return !configure(device, SIOCETHTOOL, &request) && !strcmp(info.driver, "bridge");
}

static int denied(struct error *err, int ret, const char *device, const char *right)
{
	if (ret == -EPERM || ret == -EACCES)
		return error_set(err, ret,
				 "network adapter '%s': a virtual switch on it takes the right %s, "
				 "which root has",
				 device, right);
	return error_set(err, ret, "network adapter '%s': %s", device, strerror(-ret));
}

static int join_bridge(const char *bridge, const char *name)
{
	struct ifreq request = { .ifr_ifindex = (int)if_nametoindex(name) };

	return configure(bridge, SIOCBRADDIF, &request);
}

static int open_in_bridge(struct net *out, uv_loop_t *loop, const char *bridge, struct error *err)
{
	char name[IFNAMSIZ] = "vEth%d";
	int fd = create_tap(name), ret;

	if (fd < 0)
		return denied(err, fd, bridge, "CAP_NET_ADMIN");
	set_alias(name, bridge);
	ret = join_bridge(bridge, name);
	return adopt_tap(out, loop, fd, name, if_nametoindex(bridge), ret, err);
}

static int open_card(struct net *out, uv_loop_t *loop, const char *device, unsigned index,
		     struct error *err)
{
	int ret = card_open(out, loop, index);

	return ret ? denied(err, ret, device, "CAP_NET_RAW") : 0;
}

int tap_open_uplink(struct net *out, uv_loop_t *loop, const char *device, struct error *err)
{
	unsigned index = if_nametoindex(device);

	if (!index)
		return error_set(err, -ENODEV, "network adapter '%s': there is none of that name",
				 device);
	return is_bridge(device) ? open_in_bridge(out, loop, device, err)
				 : open_card(out, loop, device, index, err);
}
