#pragma once
// The C library's declarations must stay Glibc's: were this module the first to include them, a file that imports only
// Glibc could not see the members of `stat` or `timespec`, depending on the order in which files are compiled.
#pragma clang module import SwiftGlibc
// <elf.h>, a part of it, has a macro of this name; libev an enumerator.
#undef EV_NONE
// Without the libev 3 compatibility macros a loop is an opaque pointer and names stay clean.
#define EV_COMPAT3 0
#include <ev.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

// libev's macros, as functions.

static inline void lifeline_ev_io_init(
    ev_io *watcher, void (*callback)(struct ev_loop *, ev_io *, int), int fd, int events, void *data) {
  ev_io_init(watcher, callback, fd, events);
  watcher->data = data;
}

/// Changes an inactive watcher's events alone; unlike `ev_io_set` it does not make libev ask the kernel again.
static inline void lifeline_ev_io_modify(ev_io *watcher, int events) { ev_io_modify(watcher, events); }

static inline void lifeline_ev_timer_init(
    ev_timer *watcher, void (*callback)(struct ev_loop *, ev_timer *, int), void *data) {
  ev_timer_init(watcher, callback, 0., 0.);
  watcher->data = data;
}

static inline void lifeline_ev_timer_set(ev_timer *watcher, double after) {
  ev_timer_set(watcher, after, 0.);
}

static inline void lifeline_ev_signal_init(
    ev_signal *watcher, void (*callback)(struct ev_loop *, ev_signal *, int), int number, void *data) {
  ev_signal_init(watcher, callback, number);
  watcher->data = data;
}

static inline void lifeline_ev_async_init(
    ev_async *watcher, void (*callback)(struct ev_loop *, ev_async *, int), void *data) {
  ev_async_init(watcher, callback);
  watcher->data = data;
}

static inline int lifeline_ev_io_is_active(const ev_io *watcher) { return ev_is_active(watcher) != 0; }
static inline int lifeline_ev_timer_is_active(const ev_timer *watcher) { return ev_is_active(watcher) != 0; }

static inline struct ev_loop *lifeline_ev_loop_new(void) { return ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV); }
static inline void lifeline_ev_break_all(struct ev_loop *loop) { ev_break(loop, EVBREAK_ALL); }

enum { LIFELINE_EV_READ = EV_READ, LIFELINE_EV_WRITE = EV_WRITE };

// Calls that the C library hides without _GNU_SOURCE, which a module cannot define for itself.

extern int accept4(int, struct sockaddr *__restrict, socklen_t *__restrict, int);
extern int pipe2(int[2], int);
extern int pthread_setname_np(pthread_t, const char *);
extern char **environ;

enum {
  LIFELINE_SOCKET_FLAGS = 02000000 | 04000,  // SOCK_CLOEXEC | SOCK_NONBLOCK
  LIFELINE_O_CLOEXEC = 02000000,
  LIFELINE_O_NONBLOCK = 04000,
  LIFELINE_SOCK_STREAM = 1,
};

static inline int lifeline_accept(int fd, struct sockaddr *address, socklen_t *length) {
  return accept4(fd, address, length, LIFELINE_SOCKET_FLAGS);
}

/// Sends three regions, any of which may be empty, in one call.
static inline ssize_t lifeline_send_gathered(
    int fd, const void *first, size_t first_size, const void *second, size_t second_size, const void *third,
    size_t third_size) {
  struct iovec parts[3] = {
      {(void *)first, first_size}, {(void *)second, second_size}, {(void *)third, third_size}};
  int skipped = first_size == 0;
  struct msghdr message = {.msg_iov = parts + skipped, .msg_iovlen = 3 - skipped};
  return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/// Both ends close on exec and block.
static inline int lifeline_pipe(int ends[2]) { return pipe2(ends, LIFELINE_O_CLOEXEC); }

static inline int lifeline_duplicate_above(int fd, int least) { return fcntl(fd, F_DUPFD_CLOEXEC, least); }

static inline int lifeline_set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | LIFELINE_O_NONBLOCK);
}

static inline int lifeline_set_close_on_exec(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC); }

static inline void lifeline_set_thread_name(const char *name) { (void)pthread_setname_np(pthread_self(), name); }

static inline char **lifeline_environment(void) { return environ; }

extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *, const char *);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

static inline int lifeline_spawn_add_chdir(posix_spawn_file_actions_t *actions, const char *path) {
  return posix_spawn_file_actions_addchdir_np(actions, path);
}

static inline int lifeline_spawn_add_closefrom(posix_spawn_file_actions_t *actions, int least) {
  return posix_spawn_file_actions_addclosefrom_np(actions, least);
}

enum {
  LIFELINE_SPAWN_SETPGROUP = 0x02,
  LIFELINE_SPAWN_SETSIGDEF = 0x04,
  LIFELINE_SPAWN_SETSIGMASK = 0x08,
  LIFELINE_SPAWN_SETSID = 0x80,
};

static inline int lifeline_pidfd_open(pid_t pid) { return (int)syscall(434, pid, 0); }

static inline int lifeline_pidfd_send_signal(int pidfd, int number) {
  return (int)syscall(424, pidfd, number, (void *)0, 0);
}

/// Returns 1 and the status when the child has ended, 0 while it runs, -1 with errno. With `keep` it stays a zombie.
static inline int lifeline_pidfd_status(int pidfd, int keep, int *code, int *status) {
  siginfo_t info = {0};
  if (waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, WEXITED | WNOHANG | (keep ? WNOWAIT : 0)) < 0) return -1;
  if (info.si_pid == 0) return 0;
  *code = info.si_code;
  *status = info.si_status;
  return 1;
}

enum { LIFELINE_CLD_EXITED = 1 };

/// From now on orphaned descendants become children of this process instead of init's.
static inline int lifeline_adopt_orphans(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

/// The number of a child that has ended and is not reaped yet, 0 when all of them run, -1 when there is none.
static inline pid_t lifeline_ended_child(void) {
  siginfo_t info = {0};
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0) {
    if (errno != EINTR) return -1;
  }
  return info.si_pid;
}
