#pragma once
// The C library's declarations must stay Glibc's; see CLibEv/shim.h.
#pragma clang module import SwiftGlibc
#include <sys/epoll.h>

// `epoll_data` is a union, which Swift sees as separate accessors; the generator wants one number in and out.
static inline int lifeline_epoll_control(int poller, int operation, int descriptor, unsigned events, unsigned index) {
  struct epoll_event event = {.events = events, .data.u32 = index};
  return epoll_ctl(poller, operation, descriptor, &event);
}

static inline unsigned lifeline_epoll_index(const struct epoll_event *events, int at) { return events[at].data.u32; }

static inline unsigned lifeline_epoll_ready(const struct epoll_event *events, int at) { return events[at].events; }

// Macros of enumerators, which Swift imports under types that fit nothing.
static const unsigned lifeline_epoll_in = EPOLLIN;
static const unsigned lifeline_epoll_out = EPOLLOUT;
static const int lifeline_epoll_add = EPOLL_CTL_ADD;
static const int lifeline_epoll_modify = EPOLL_CTL_MOD;
static const int lifeline_epoll_delete = EPOLL_CTL_DEL;

static inline int lifeline_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
