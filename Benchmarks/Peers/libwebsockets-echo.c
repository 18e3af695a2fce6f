// libwebsockets, as its own examples use it: one service thread, one callback; an answer waits until the library says
// that the socket is writeable.
//
// Usage: libwebsockets-echo PORT [off|shared]
#include <libwebsockets.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct message {
  struct message *next;
  size_t count;
  int is_binary;
  unsigned char bytes[];  // LWS_PRE bytes for the library, then the payload.
};

struct session {
  struct message *first, **last;
  unsigned char *partial;
  size_t partial_count;
};

static int echo(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t count) {
  struct session *session = user;
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      memset(session, 0, sizeof *session);
      session->last = &session->first;
      break;
    case LWS_CALLBACK_RECEIVE: {
      // A message arrives in pieces of the receive buffer's size.
      size_t start = offsetof(struct message, bytes) + LWS_PRE + session->partial_count;
      unsigned char *grown = realloc(session->partial, start + count);
      if (!grown) return -1;
      session->partial = grown;
      memcpy(grown + start, in, count);
      session->partial_count += count;
      if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi)) break;
      struct message *message = (struct message *)grown;
      message->next = NULL;
      message->count = session->partial_count;
      message->is_binary = lws_frame_is_binary(wsi);
      *session->last = message;
      session->last = &message->next;
      session->partial = NULL;
      session->partial_count = 0;
      lws_callback_on_writable(wsi);
      break;
    }
    case LWS_CALLBACK_SERVER_WRITEABLE: {
      // As many as the socket takes; the library keeps what is left of the last one.
      while (session->first && !lws_send_pipe_choked(wsi)) {
        struct message *message = session->first;
        int written = lws_write(wsi, message->bytes + LWS_PRE, message->count,
                                message->is_binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
        session->first = message->next;
        if (!session->first) session->last = &session->first;
        free(message);
        if (written < 0) return -1;
      }
      if (session->first) lws_callback_on_writable(wsi);
      break;
    }
    case LWS_CALLBACK_CLOSED:
      while (session->first) {
        struct message *message = session->first;
        session->first = message->next;
        free(message);
      }
      free(session->partial);
      break;
    default: break;
  }
  return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "echo", .callback = echo, .per_session_data_size = sizeof(struct session), .rx_buffer_size = 65536},
    {.name = NULL},
};

static const struct lws_extension extensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; server_no_context_takeover"},
    {NULL, NULL, NULL},
};

int main(int count, char **arguments) {
  lws_set_log_level(LLL_ERR, NULL);
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;  // The library has a table of as many pointers.
  setrlimit(RLIMIT_NOFILE, &limit);
  struct lws_context_creation_info info = {.port = count > 1 ? atoi(arguments[1]) : 0,
                                           .iface = "127.0.0.1",
                                           .protocols = protocols,
                                           .gid = -1,
                                           .uid = -1,
                                           .pt_serv_buf_size = 65536};
  if (count > 2 && strcmp(arguments[2], "off") != 0) info.extensions = extensions;
  info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
  struct lws_context *context = lws_create_context(&info);
  struct lws_vhost *host = context ? lws_create_vhost(context, &info) : NULL;
  if (!host) {
    fprintf(stderr, "libwebsockets-echo: cannot listen\n");
    return 1;
  }
  printf("listening on ws://127.0.0.1:%d\n", lws_get_vhost_listen_port(host));
  fflush(stdout);
  while (lws_service(context, 0) >= 0) continue;
  return 0;
}
