// uWebSockets through the C interface of the library that PyPI's `socketify` ships: its own loop, its own parser,
// its own compressor, and a C handler, so that no Python runs. The declarations below are that interface's.
//
// Usage: uwebsockets-echo LIBRARY PORT [off|shared|dedicated]
//        uwebsockets-echo LIBRARY check     (whether the library can be loaded)
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct tls_options {
  const char *key_file, *certificate_file, *passphrase, *dh_parameters_file, *ca_file, *ciphers;
  int prefers_low_memory;
};

struct listen_options {
  int port;
  const char *host;
  int options;
};

typedef void (*upgrade_handler)(void *response, void *request, void *context, void *user);
typedef void (*socket_handler)(void *socket, void *user);
typedef void (*message_handler)(void *socket, const char *message, size_t length, int opcode, void *user);
typedef void (*control_handler)(void *socket, const char *message, size_t length, void *user);
typedef void (*close_handler)(void *socket, int code, const char *message, size_t length, void *user);
typedef void (*subscription_handler)(void *socket, const char *topic, size_t length, int now, int before, void *user);
typedef void (*listen_handler)(void *listener, struct listen_options options, void *user);

struct behavior {
  int compression;
  unsigned int max_payload_length;
  unsigned short idle_timeout;
  unsigned int max_backpressure;
  bool closes_on_backpressure_limit, resets_idle_timeout_on_send, sends_pings_automatically;
  unsigned short max_lifetime;
  upgrade_handler upgrade;
  socket_handler open;
  message_handler message;
  socket_handler drain;
  control_handler ping, pong;
  close_handler close;
  subscription_handler subscription;
};

// The values of the library's CompressOptions.
enum { shared_compressor = 1, shared_decompressor = 1 << 8 };
// Windows of 12 bits both ways.
enum { dedicated_compressor_32kb = 12 << 4 | 5, dedicated_decompressor_4kb = 12 << 8 };

static int (*send_message)(int tls, void *socket, const char *message, size_t length, int opcode, bool compress,
                           bool fin);
static int (*local_port)(int tls, void *listener);
static bool compresses;

static void echo(void *socket, const char *message, size_t length, int opcode, void *user) {
  (void)user;
  send_message(0, socket, message, length, opcode, compresses, true);
}

static void announce(void *listener, struct listen_options options, void *user) {
  (void)options, (void)user;
  if (!listener) {
    fprintf(stderr, "uwebsockets-echo: cannot listen\n");
    exit(1);
  }
  printf("listening on ws://127.0.0.1:%d\n", local_port(0, listener));
  fflush(stdout);
}

static void *symbol(void *library, const char *name) {
  void *address = dlsym(library, name);
  if (!address) {
    fprintf(stderr, "uwebsockets-echo: %s\n", dlerror());
    exit(1);
  }
  return address;
}

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: uwebsockets-echo LIBRARY PORT [off|shared|dedicated]\n");
    return 2;
  }
  void *library = dlopen(arguments[1], RTLD_NOW);
  if (!library) {
    fprintf(stderr, "uwebsockets-echo: %s\n", dlerror());
    return 1;
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  void *(*create_app)(int, struct tls_options) = symbol(library, "uws_create_app");
  void (*add_route)(int, void *, const char *, struct behavior, void *) = symbol(library, "uws_ws");
  void (*listen_at)(int, void *, struct listen_options, listen_handler, void *) =
      symbol(library, "uws_app_listen_with_config");
  void (*run)(int, void *) = symbol(library, "uws_app_run");
  send_message = symbol(library, "uws_ws_send_with_options");
  local_port = symbol(library, "us_socket_local_port");
  if (strcmp(arguments[2], "check") == 0) return 0;

  const char *compression = count > 3 ? arguments[3] : "off";
  compresses = strcmp(compression, "off") != 0;
  struct behavior behavior = {.max_payload_length = 16 * 1024 * 1024,
                              .max_backpressure = 64 * 1024 * 1024,
                              .message = echo};
  if (compresses) {
    behavior.compression = strcmp(compression, "dedicated") == 0
                               ? dedicated_compressor_32kb | dedicated_decompressor_4kb
                               : shared_compressor | shared_decompressor;
  }
  struct tls_options none = {0};
  void *app = create_app(0, none);
  add_route(0, app, "/*", behavior, NULL);
  listen_at(0, app, (struct listen_options){.port = atoi(arguments[2]), .host = "127.0.0.1"}, announce, NULL);
  run(0, app);
  return 0;
}
