#pragma once
#include <memory>
#include <string>

#include "millrace/base/guarded.hpp"
#include "millrace/net/server.hpp"

struct ssl_ctx_st;

namespace millrace::net {

/// What a server shows of itself, PEM: its certificate, then those between it and an authority that clients know.
struct TlsMaterial {
  std::string certificates;
  std::string key;  ///< of the first certificate; not encrypted
};

/// TLS 1.2 and 1.3 as the listeners speak it: docs/http.md, "TLS". Listeners share one. Thread-safe.
class Tls {
 public:
  using Context = std::shared_ptr<ssl_ctx_st>;

  /// @error  failed: a person's sentence about what is wrong with the material
  static Result<std::shared_ptr<Tls>> make(const TlsMaterial& material);

  /// Handshakes from now on show `material`, and session tickets are sealed by a fresh key: those given before lead to
  /// a whole handshake. What is open goes on. On an error all stays as it was; errors as make().
  Result<> use(const TlsMaterial& material);

  /// For the next handshake. Not null.
  Context context() const {
    return context_.with([](const Context& context) { return context; });
  }

 private:
  explicit Tls(Context context) : context_(std::move(context)) {}

  Guarded<Context> context_;
};

}  // namespace millrace::net
