// The practical limit: a WebSocket echo with nothing around it. One thread, level-triggered epoll, one receive
// buffer, unmasking in place, one write per readable event. It serves well-behaved peers and closes on all others.
//
// Usage: epoll-echo PORT        (0 lets the system choose; prints "listening on ws://127.0.0.1:PORT")
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { receive_bytes = 512 * 1024, head_limit = 16 * 1024, payload_limit = 16 * 1024 * 1024, event_count = 1024 };

// What a connection keeps between events; both buffers exist only while they hold something.
struct connection {
  int fd;
  bool is_open;        // The handshake is done.
  bool is_ending;      // Close once the output is gone.
  uint32_t in_count;   // Bytes of `in` that are filled.
  uint32_t in_total;   // Size of `in`: a request head's limit, or the whole of the frame that has begun.
  uint32_t out_count;  // Bytes of `out` still to be written.
  uint32_t out_start;
  uint8_t *in;
  uint8_t *out;
};

static uint8_t buffer[receive_bytes + 64];
static int poller;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(struct connection *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event) < 0) fail("epoll_ctl");
}

static void end(struct connection *c) {
  close(c->fd);
  free(c->in);
  free(c->out);
  free(c);
}

// Writes what is there; keeps the rest and stops reading until it is gone. False if the connection has ended.
static bool put(struct connection *c, struct iovec *parts, int count) {
  size_t total = 0;
  for (int i = 0; i < count; i++) total += parts[i].iov_len;
  ssize_t written = count == 1 ? write(c->fd, parts[0].iov_base, parts[0].iov_len) : writev(c->fd, parts, count);
  if (written < 0 && errno != EAGAIN) return end(c), false;
  if (written < 0) written = 0;
  if ((size_t)written == total) {
    if (c->is_ending) return end(c), false;
    return true;
  }
  c->out_count = (uint32_t)(total - (size_t)written);
  c->out_start = 0;
  c->out = malloc(c->out_count);
  if (!c->out) fail("malloc");
  size_t skip = (size_t)written, at = 0;
  for (int i = 0; i < count; i++) {
    size_t gone = skip < parts[i].iov_len ? skip : parts[i].iov_len;
    memcpy(c->out + at, (uint8_t *)parts[i].iov_base + gone, parts[i].iov_len - gone);
    at += parts[i].iov_len - gone;
    skip -= gone;
  }
  watch(c, EPOLLOUT);
  return true;
}

static bool flush(struct connection *c) {
  ssize_t written = write(c->fd, c->out + c->out_start, c->out_count);
  if (written < 0) return errno == EAGAIN ? true : (end(c), false);
  c->out_start += (uint32_t)written;
  c->out_count -= (uint32_t)written;
  if (c->out_count) return true;
  free(c->out);
  c->out = NULL;
  if (c->is_ending) return end(c), false;
  watch(c, EPOLLIN);
  return true;
}

// `to` is at or below `from`, so walking forward by words never reads what was written.
static void unmask(uint8_t *to, const uint8_t *from, size_t count, const uint8_t *key) {
  uint32_t word;
  memcpy(&word, key, 4);
  uint64_t mask = (uint64_t)word << 32 | word;
  size_t at = 0;
  if (to == from) {
    for (; at + 8 <= count; at += 8) {
      uint64_t value;
      memcpy(&value, to + at, 8);
      value ^= mask;
      memcpy(to + at, &value, 8);
    }
  } else {
    for (; at + 8 <= count; at += 8) {
      uint64_t value;
      memcpy(&value, from + at, 8);
      value ^= mask;
      memcpy(to + at, &value, 8);
      __asm__ volatile("" ::: "memory");  // Overlapping: each word is stored before the next is loaded.
    }
  }
  for (; at < count; at++) to[at] = from[at] ^ (uint8_t)(mask >> (at % 4 * 8));
}

// One frame's header, if all of it is there: 1; 0 if more is needed; -1 if it is none of ours.
static int parse(const uint8_t *bytes, size_t count, size_t *header, size_t *payload) {
  if (count < 2) return 0;
  if (!(bytes[1] & 0x80) || (bytes[0] & 0x70)) return -1;
  size_t length = bytes[1] & 0x7F;
  *header = length < 126 ? 6 : length == 126 ? 8 : 14;
  if (count < *header) return 0;
  if (length == 126) {
    length = (size_t)bytes[2] << 8 | bytes[3];
  } else if (length == 127) {
    length = 0;
    for (int i = 2; i < 10; i++) length = length << 8 | bytes[i];
  }
  if (length > payload_limit) return -1;
  *payload = length;
  return 1;
}

// Makes the answer to the frame at `from` and puts it at `to`, at least four bytes below; how long it is.
static size_t answer(struct connection *c, uint8_t *to, uint8_t *from, size_t header, size_t payload) {
  uint8_t first = from[0], key[4];
  memcpy(key, from + header - 4, 4);
  size_t length = header - 4;
  uint8_t lengths[10];
  memcpy(lengths, from, length);
  unmask(to + length, from + header, payload, key);
  memcpy(to, lengths, length);
  to[1] &= 0x7F;
  if ((first & 0x0F) == 0x9) to[0] = (uint8_t)((first & 0xF0) | 0xA);
  if ((first & 0x0F) == 0x8) c->is_ending = true;
  return (first & 0x0F) == 0xA ? 0 : length + payload;
}

static void keep(struct connection *c, const uint8_t *bytes, size_t count, size_t total) {
  c->in = malloc(total);
  if (!c->in) fail("malloc");
  memcpy(c->in, bytes, count);
  c->in_count = (uint32_t)count;
  c->in_total = (uint32_t)total;
}

// A header that has begun is kept in 14 bytes, a frame whose length is known in as many as it has.
static bool keep_rest(struct connection *c, const uint8_t *bytes, size_t count) {
  size_t header, payload;
  switch (parse(bytes, count, &header, &payload)) {
    case 0: keep(c, bytes, count, 14); return true;
    case 1: keep(c, bytes, count, header + payload); return true;
    default: return false;
  }
}

static void read_frames(struct connection *c) {
  struct iovec parts[2] = {{c->in ? c->in + c->in_count : NULL, c->in ? c->in_total - c->in_count : 0},
                           {buffer, receive_bytes}};
  ssize_t received = c->in ? readv(c->fd, parts, 2) : read(c->fd, buffer, receive_bytes);
  if (received < 0 && errno == EAGAIN) return;
  if (received <= 0) return end(c);

  uint8_t *at = buffer;
  size_t count = (size_t)received, header, payload;
  struct iovec out[2] = {{NULL, 0}, {NULL, 0}};
  uint8_t *held = NULL;
  if (c->in) {
    size_t room = c->in_total - c->in_count;
    size_t taken = count < room ? count : room;
    c->in_count += (uint32_t)taken;
    count -= taken;
    if (parse(c->in, c->in_count, &header, &payload) == 1 && header + payload <= c->in_count) {
      held = c->in;
      c->in = NULL;
      size_t rest = c->in_count - (header + payload);
      if (rest) {  // A header's room held the whole of a short frame, and the start of the next.
        memmove(buffer + rest, buffer, count);
        memcpy(buffer, held + header + payload, rest);
        count += rest;
      }
      out[0].iov_base = held + 4;
      out[0].iov_len = answer(c, held + 4, held, header, payload);
    } else if (c->in_count == 14 && c->in_total == 14 && parse(c->in, 14, &header, &payload) == 1) {
      uint8_t *old = c->in;
      size_t total = header + payload;
      keep(c, old, 14, total);
      free(old);
      size_t more = count < total - 14 ? count : total - 14;
      memcpy(c->in + 14, buffer, more);
      c->in_count += (uint32_t)more;
      at += more;
      count -= more;
      if (c->in_count == total) {
        held = c->in;
        c->in = NULL;
        out[0].iov_base = held + 4;
        out[0].iov_len = answer(c, held + 4, held, header, payload);
      }
    } else if (parse(c->in, c->in_count, &header, &payload) < 0) {
      return end(c);
    }
  }
  // The first answer lies four bytes above its frame: exactly in place. Those after it move down, closing the gaps.
  uint8_t *to = at + 4;
  out[1].iov_base = to;
  int kind = 0;
  while (!c->is_ending && (kind = parse(at, count, &header, &payload)) == 1 && header + payload <= count) {
    to += answer(c, to, at, header, payload);
    at += header + payload;
    count -= header + payload;
  }
  out[1].iov_len = (size_t)(to - (uint8_t *)out[1].iov_base);
  if (kind < 0 || (!c->is_ending && count && !keep_rest(c, at, count))) {
    free(held);
    return end(c);
  }
  if (out[0].iov_len && out[1].iov_len) {
    put(c, out, 2);
  } else if (out[0].iov_len || out[1].iov_len) {
    put(c, out[0].iov_len ? &out[0] : &out[1], 1);
  }
  free(held);
}

static void read_head(struct connection *c) {
  if (!c->in) keep(c, buffer, 0, head_limit + 1);
  ssize_t received = read(c->fd, c->in + c->in_count, head_limit - c->in_count);
  if (received < 0 && errno == EAGAIN) return;
  if (received <= 0) return end(c);
  c->in_count += (uint32_t)received;
  c->in[c->in_count] = 0;
  char *head_end = strstr((char *)c->in, "\r\n\r\n");
  if (!head_end) {
    if (c->in_count == head_limit) end(c);
    return;
  }
  char *key = strcasestr((char *)c->in, "\r\nsec-websocket-key:");
  if (!key || key > head_end) return end(c);
  key += strlen("\r\nsec-websocket-key:");
  while (*key == ' ') key++;
  char accepting[128];
  int length = snprintf(accepting, sizeof accepting, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
  uint8_t digest[SHA_DIGEST_LENGTH];
  SHA1((uint8_t *)accepting, (size_t)length, digest);
  uint8_t accept[32];
  EVP_EncodeBlock(accept, digest, sizeof digest);
  char response[256];
  length = snprintf(response, sizeof response,
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: %s\r\n\r\n",
                    accept);
  uint8_t *old = c->in, *after = (uint8_t *)head_end + 4;
  size_t rest = c->in_count - (size_t)(after - old);
  c->in = NULL;
  c->is_open = true;
  // Frames that came with the head wait for the next readable event, as no load generator sends them.
  bool is_sound = !rest || keep_rest(c, after, rest);
  free(old);
  if (!is_sound) return end(c);
  struct iovec part = {response, (size_t)length};
  put(c, &part, 1);
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = calloc(1, sizeof *c);
    if (!c) fail("calloc");
    c->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
  }
}

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)(count > 1 ? atoi(arguments[1]) : 0)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 4096) < 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("listening on ws://127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);

  poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  static struct epoll_event events[event_count];
  for (;;) {
    int ready = epoll_wait(poller, events, event_count, -1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (!c) {
        accept_all(listener);
      } else if (c->out) {
        flush(c);
      } else if (c->is_open) {
        read_frames(c);
      } else {
        read_head(c);
      }
    }
  }
}
