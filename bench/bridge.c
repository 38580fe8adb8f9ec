/* A relay as plain as can be, and a load for any relay: legs in pairs that send G.711 packets and time what arrives.

   bridge relay <pairs> <first port>           relays the packets of each pair, header rewritten, until it is killed
   bridge load <pairs> <first port> <seconds>  leg n talks to port first + 2 n; prints one line of figures

   The load's own ports follow the relay's. Leg 2 p and leg 2 p + 1 are pair p. Each sends 50 packets a second from a socket of its own; legs are spread over the
   20 ms. A packet's first payload bytes say who sent it, which it was and when, so that whoever gets it knows the delay. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 12, SIZE = 172, SLOTS = 100000 }; /* a slot of the histogram is 10 us */

static int bound(int port) {
    int made = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (made < 0 || bind(made, (struct sockaddr *)&at, sizeof at) != 0) {
        perror("bind");
        exit(1);
    }
    return made;
}

static void aim(int from, int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(from, (struct sockaddr *)&at, sizeof at) != 0) {
        perror("connect");
        exit(1);
    }
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static int watch(int *sockets, int count) {
    int poll = epoll_create1(0);
    for (int n = 0; n < count; n++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = n};
        epoll_ctl(poll, EPOLL_CTL_ADD, sockets[n], &event);
    }
    return poll;
}

/* What a relay cannot do without: who sent it, is it RTP, one SSRC and one run of numbers for the other side. */
static void relay(int pairs, int first) {
    int count = 2 * pairs, *legs = calloc(count, sizeof *legs);
    struct stream { uint16_t sequence, heard; uint32_t timestamp, ssrc, lost; struct sockaddr_in peer; } *streams = calloc(count, sizeof *streams);
    for (int n = 0; n < count; n++) {
        legs[n] = bound(first + 2 * n);
        streams[n].ssrc = htonl(n + 1);
    }
    int poll = watch(legs, count);
    struct epoll_event events[256];
    unsigned char packet[2048];
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll, events, 256, -1);
        for (int e = 0; e < ready; e++) {
            int n = events[e].data.u32;
            struct stream *in = &streams[n], *out = &streams[n ^ 1];
            struct sockaddr_in source;
            socklen_t length = sizeof source;
            ssize_t size = in->peer.sin_port ? recv(legs[n], packet, sizeof packet, 0)
                                             : recvfrom(legs[n], packet, sizeof packet, 0, (struct sockaddr *)&source, &length);
            if (size < HEADER || packet[0] != 0x80)
                continue;
            if (!in->peer.sin_port) {
                in->peer = source;
                connect(legs[n], (struct sockaddr *)&source, sizeof source);
            }
            uint16_t sequence = packet[2] << 8 | packet[3];
            in->lost += (uint16_t)(sequence - in->heard - 1);
            in->heard = sequence;
            out->sequence++;
            out->timestamp += size - HEADER;
            packet[2] = out->sequence >> 8, packet[3] = out->sequence;
            uint32_t stamp = htonl(out->timestamp);
            memcpy(packet + 4, &stamp, 4);
            memcpy(packet + 8, &out->ssrc, 4);
            if (out->peer.sin_port)
                send(legs[n ^ 1], packet, size, 0);
        }
    }
}

struct mark { uint32_t magic, leg, number, pad; uint64_t at; };

static int load(int pairs, int first, int seconds) {
    int count = 2 * pairs, *legs = calloc(count, sizeof *legs);
    uint32_t *ssrc = calloc(count, sizeof *ssrc), *before = calloc(count, sizeof *before), *slots = calloc(SLOTS + 1, sizeof *slots);
    for (int n = 0; n < count; n++) {
        legs[n] = bound(first + 2 * count + n);
        aim(legs[n], first + 2 * n);
    }
    int poll = watch(legs, count);
    struct epoll_event events[256];
    unsigned char packet[2048];
    uint64_t began = now() + 20000000, frames = 50ull * seconds, sent = 0, total = frames * count, heard = 0, wrong = 0, changed = 0, worst = 0;
    uint64_t end = began + (uint64_t)seconds * 1000000000u + 500000000u;
    for (uint64_t t = now(); t < end; t = now()) {
        while (sent < total) {
            uint64_t frame = sent / count, n = sent % count, due = began + frame * 20000000u + n * 20000000u / count;
            if (due > t)
                break;
            memset(packet, 0x55, SIZE);
            packet[0] = 0x80, packet[1] = 0, packet[2] = frame >> 8, packet[3] = frame;
            uint32_t stamp = htonl(frame * 160), id = htonl(n + 100);
            memcpy(packet + 4, &stamp, 4);
            memcpy(packet + 8, &id, 4);
            struct mark mark = {0x4d41524b, n, frame, 0, now()};
            memcpy(packet + HEADER, &mark, sizeof mark);
            if (send(legs[n], packet, SIZE, 0) < 0 && errno != EAGAIN && errno != ECONNREFUSED)
                perror("send");
            sent++;
        }
        int ready = epoll_wait(poll, events, 256, 1);
        for (int e = 0; e < ready; e++) {
            int n = events[e].data.u32;
            for (ssize_t size; (size = recv(legs[n], packet, sizeof packet, 0)) > 0;) {
                struct mark mark;
                memcpy(&mark, packet + HEADER, sizeof mark);
                if (size != SIZE || mark.magic != 0x4d41524b)
                    continue; /* comfort silence */
                uint32_t from;
                memcpy(&from, packet + 8, 4);
                changed += ssrc[n] && from != ssrc[n];
                ssrc[n] = from;
                wrong += mark.leg != (uint32_t)(n ^ 1) || (before[n] && mark.number != before[n]);
                before[n] = mark.number + 1;
                if (mark.number < 50)
                    continue; /* the first second is for getting to know each other */
                uint64_t delay = now() - mark.at;
                worst = delay > worst ? delay : worst;
                slots[delay / 10000 < SLOTS ? delay / 10000 : SLOTS]++;
                heard++;
            }
        }
    }
    uint64_t due = total - 50ull * count, seen = 0, half = 0, most = 0;
    for (int s = 0; s <= SLOTS && heard; s++) {
        seen += slots[s];
        if (!half && seen * 2 >= heard)
            half = s + 1;
        if (!most && seen * 100 >= heard * 99)
            most = s + 1;
    }
    printf("{\"due\": %llu, \"heard\": %llu, \"out_of_order\": %llu, \"ssrc_changes\": %llu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"worst_ms\": %.2f}\n",
           (unsigned long long)due, (unsigned long long)heard, (unsigned long long)wrong, (unsigned long long)changed, half / 100.0, most / 100.0, worst / 1e6);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 4 && strcmp(arguments[1], "relay") == 0)
        relay(atoi(arguments[2]), atoi(arguments[3]));
    if (count == 5 && strcmp(arguments[1], "load") == 0)
        return load(atoi(arguments[2]), atoi(arguments[3]), atoi(arguments[4]));
    return 2;
}
