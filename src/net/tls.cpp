#include "millrace/net/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <string_view>

#include "net/openssl_owned.hpp"

namespace millrace::net {

namespace {

/// AEAD with forward secrecy alone: what HTTP/2 asks of TLS 1.2 (RFC 9113, 9.2.2) is right for HTTP/1.1 too.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384:P-521";
constexpr std::string_view kSessionContext = "millrace";
constexpr long kTicketSeconds = 2 * 60 * 60;
constexpr std::size_t kCertificatesMax = 16;

Error failed(std::string what) { return {Errc::failed, std::move(what)}; }

/// The reason that OpenSSL gives, behind `what`; its queue of errors is empty afterwards.
Error failed_because(std::string what) {
  const unsigned long error = ERR_peek_last_error();
  if (const char* reason = error ? ERR_reason_error_string(error) : nullptr) what.append(": ").append(reason);
  ERR_clear_error();
  return failed(std::move(what));
}

int refuse_password(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

Result<> add_certificates(SSL_CTX* context, const std::string& pem) {
  const Owned<BIO> in = reader(pem);
  for (std::size_t count = 0;; ++count) {
    ERR_clear_error();
    const Owned<X509> certificate(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
    if (!certificate) {
      const bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
      if (!end) return failed_because("certificate " + std::to_string(count + 1) + " cannot be read");
      ERR_clear_error();
      if (count == 0) return failed("there is no certificate (-----BEGIN CERTIFICATE-----)");
      return Result<>{};
    }
    if (count == kCertificatesMax) return failed("there are more than " + std::to_string(count) + " certificates");
    const bool taken = count == 0 ? SSL_CTX_use_certificate(context, certificate.get()) == 1
                                  : SSL_CTX_add1_chain_cert(context, certificate.get()) == 1;
    if (!taken) return failed_because("certificate " + std::to_string(count + 1) + " cannot be used");
  }
}

Result<> add_key(SSL_CTX* context, const std::string& pem) {
  if (pem.find("PRIVATE KEY-----") == std::string::npos)
    return failed("there is no private key (-----BEGIN PRIVATE KEY-----)");
  const Owned<BIO> in = reader(pem);
  bool encrypted = false;
  ERR_clear_error();
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, refuse_password, &encrypted));
  if (encrypted) {
    ERR_clear_error();
    return failed("the key is encrypted: write it without a password, in a file that only the daemon can read");
  }
  if (!key) return failed_because("the key cannot be read");
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return failed("the key is not the first certificate's");
  }
  return Result<>{};
}

/// HTTP/2 where the client knows it. Who names protocols and none of these is refused, as RFC 7301 wants it.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  for (const std::string_view ours : {"h2", "http/1.1", "http/1.0"}) {
    for (unsigned int at = 0; at < offered_size && offered[at] < offered_size - at; at += offered[at] + 1u) {
      if (std::string_view(reinterpret_cast<const char*>(offered + at + 1), offered[at]) != ours) continue;
      *out = offered + at + 1;
      *out_size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Result<Tls::Context> make_context(const TlsMaterial& material) {
  Tls::Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX* const c = context.get();
  const auto* session = reinterpret_cast<const unsigned char*>(kSessionContext.data());
  if (!c || SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(c, kCiphers12) != 1 ||
      SSL_CTX_set_ciphersuites(c, kCiphers13) != 1 || SSL_CTX_set1_groups_list(c, kGroups) != 1 ||
      SSL_CTX_set_session_id_context(c, session, kSessionContext.size()) != 1)
    return failed_because("TLS cannot be set up");
  SSL_CTX_set_options(
      c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // What is idle holds no buffers of records.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(c, 1);
  // Sessions are the client's to keep, in its ticket: the server holds none, however many there were.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(c, kTicketSeconds);
  SSL_CTX_set_num_tickets(c, 1);
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  if (auto added = add_certificates(c, material.certificates); !added) return added.error();
  if (auto added = add_key(c, material.key); !added) return added.error();
  return context;
}

}  // namespace

Result<std::shared_ptr<Tls>> Tls::make(const TlsMaterial& material) {
  auto context = make_context(material);
  if (!context) return context.error();
  return std::shared_ptr<Tls>(new Tls(*std::move(context)));
}

Result<> Tls::use(const TlsMaterial& material) {
  auto context = make_context(material);
  if (!context) return context.error();
  context_.with([&](Context& current) { current.swap(*context); });
  return Result<>{};
}

}  // namespace millrace::net
