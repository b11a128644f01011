#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/client.hpp"

namespace millrace::test {

struct TlsClientOptions {
  std::string authority;  ///< PEM; empty: every certificate is trusted
  std::string name = "localhost";
  std::string protocols;           ///< of ALPN, each behind its length; empty: none are named
  int version = 0;                 ///< the only one, TLS1_2_VERSION; 0: any
  const char* ciphers = nullptr;   ///< of TLS 1.2
  SSL_SESSION* session = nullptr;  ///< to resume
  int receive_buffer = 0;
  bool handshake = true;  ///< false: a later call of handshake() makes it
};

/// The client over TLS: OpenSSL's other side.
class TlsClient : public Client {
 public:
  explicit TlsClient(std::uint16_t port, TlsClientOptions options = {})
      : Client(port, options.receive_buffer), context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      static_cast<TlsClient*>(SSL_get_app_data(ssl))->session_.reset(session);
      return 1;
    });
    SSL_CTX_set_security_level(context_.get(), 0);
    if (!options.authority.empty()) {
      BIO* in = BIO_new_mem_buf(options.authority.data(), static_cast<int>(options.authority.size()));
      X509* certificate = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), certificate);
      X509_free(certificate);
      BIO_free(in);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
      X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context_.get()), X509_V_FLAG_X509_STRICT);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_app_data(ssl_.get(), this);
    if (options.version) {
      SSL_set_min_proto_version(ssl_.get(), options.version);
      SSL_set_max_proto_version(ssl_.get(), options.version);
    }
    if (options.ciphers) SSL_set_cipher_list(ssl_.get(), options.ciphers);
    if (!options.protocols.empty())
      SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(options.protocols.data()),
                          static_cast<unsigned>(options.protocols.size()));
    X509_VERIFY_PARAM* const param = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(param, options.name.c_str()) != 1) {
      SSL_set_tlsext_host_name(ssl_.get(), options.name.c_str());
      SSL_set1_host(ssl_.get(), options.name.c_str());
    }
    if (options.session) SSL_set_session(ssl_.get(), options.session);
    SSL_set_fd(ssl_.get(), descriptor());
    if (options.handshake) handshake();
  }

  /// Without a word; its session may be resumed all the same.
  ~TlsClient() override { SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }

  bool handshake() {
    ERR_clear_error();
    made_ = SSL_connect(ssl_.get()) == 1;
    if (!made_) keep_error();
    return made_;
  }
  bool made() const noexcept { return made_; }
  /// The reason of the last failure, "tlsv1 alert no application protocol".
  const std::string& error() const noexcept { return error_; }
  SSL* ssl() const noexcept { return ssl_.get(); }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  /// The newest ticket; null: none has come yet.
  SSL_SESSION* session() const noexcept { return session_.get(); }
  /// Says close_notify; reading goes on.
  void finish() { SSL_shutdown(ssl_.get()); }
  /// Whether what came ended with close_notify.
  bool told() const noexcept { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

  ssize_t read(char* out, std::size_t size) override {
    ERR_clear_error();
    errno = 0;
    const int got = SSL_read(ssl_.get(), out, static_cast<int>(size));
    if (got > 0) return got;
    const int why = SSL_get_error(ssl_.get(), got);
    if (why == SSL_ERROR_ZERO_RETURN) return 0;
    if (why == SSL_ERROR_WANT_READ) {
      errno = EAGAIN;
    } else {
      keep_error();
      errno = ECONNRESET;
    }
    return -1;
  }
  ssize_t write(std::string_view bytes) override {
    ERR_clear_error();
    const int sent = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    if (sent <= 0) keep_error();
    return sent > 0 ? sent : -1;
  }

 private:
  void keep_error() {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    error_ = reason ? reason : "none";
    ERR_clear_error();
  }

  struct Free {
    void operator()(SSL* it) const noexcept { SSL_free(it); }
    void operator()(SSL_SESSION* it) const noexcept { SSL_SESSION_free(it); }
  };
  std::shared_ptr<SSL_CTX> context_;
  std::unique_ptr<SSL_SESSION, Free> session_;
  std::unique_ptr<SSL, Free> ssl_;
  std::string error_;
  bool made_ = false;
};

}  // namespace millrace::test
