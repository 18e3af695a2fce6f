#pragma once
// SHA-256 on a state of our own, which costs no allocation, is declared old-fashioned.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// Macros that Swift cannot see.

static inline void lifeline_ssl_ctx_set_modes(SSL_CTX *context) {
  // An idle connection gives its 32 KiB of buffers back.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

static inline int lifeline_ssl_ctx_set_min_version(SSL_CTX *context, int version) {
  return SSL_CTX_set_min_proto_version(context, version) == 1;
}

static inline void lifeline_ssl_ctx_set_session_cache(SSL_CTX *context, long mode) {
  SSL_CTX_set_session_cache_mode(context, mode);
}

static inline int lifeline_ssl_set_server_name(SSL *ssl, const char *name) {
  return SSL_set_tlsext_host_name(ssl, (char *)name) == 1;
}

static inline int lifeline_ssl_ctx_set_ticket_keys(SSL_CTX *context, void *keys, long count) {
  return SSL_CTX_set_tlsext_ticket_keys(context, keys, count) == 1;
}

static inline size_t lifeline_bio_pending(BIO *bio) { return BIO_ctrl_pending(bio); }

static inline int lifeline_sk_general_name_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }

static inline GENERAL_NAME *lifeline_sk_general_name(const GENERAL_NAMES *names, int index) {
  return sk_GENERAL_NAME_value(names, index);
}

static inline int lifeline_err_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int lifeline_err_library(unsigned long code) { return ERR_GET_LIB(code); }

static inline void lifeline_bio_wants_input(BIO *bio) { BIO_set_retry_read(bio); }
static inline void lifeline_bio_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }
static inline long lifeline_ssl_ctx_get_ticket_keys(SSL_CTX *context, void *keys, long count) {
  return SSL_CTX_get_tlsext_ticket_keys(context, keys, count);
}

static inline void lifeline_ssl_ctx_forbid_old_tricks(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
}

// One line, in UTF-8.
static inline unsigned long lifeline_name_flags(void) { return XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB; }
