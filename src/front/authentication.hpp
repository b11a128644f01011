#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/http.hpp"
#include "millrace/front/front.hpp"
#include "millrace/services/operation.hpp"
#include "millrace/services/sessions.hpp"

namespace millrace::front {

/// What a request says about its signer: a header or a query, not both.
struct Credentials {
  std::string_view authorization;  ///< the header, empty when there is none
  bool dated = false;              ///< X-Amz-Date or Date is there
};

/// Whether the query has this parameter, exactly as spelt.
bool has_parameter(std::string_view query, std::string_view name) noexcept;
/// The value of a query parameter, still percent-encoded; empty when there is none.
std::string_view parameter(std::string_view query, std::string_view name) noexcept;

/// The service in the credential scope, of the header or the query: "kinesis"; empty when there is none.
std::string_view scope_service(std::string_view authorization, std::string_view query) noexcept;

/// What credentials for a time have beside the key, of the header or the query; empty when there is none.
std::string session_token(const http::Request& request);

/// Who asks, as far as that counts.
struct Signer {
  std::string account, region;  ///< of several; empty: the configured ones
  std::optional<services::Session> session;
};

/// Who may ask. Thread-safe.
class Authenticator {
 public:
  explicit Authenticator(const Options& options);
  /// AWS's refusal of a request, in the order of AWS's checks; nothing when it may go on.
  /// @param service  its signing name
  /// @param signer   filled in when it may go on; null: nobody asks
  std::optional<services::ServiceError> refuse(const Credentials& credentials, const http::Request& request,
                                               std::string_view body, std::string_view service,
                                               Signer* signer = nullptr) const;

 private:
  std::optional<services::ServiceError> verify(const Credentials& credentials, const http::Request& request,
                                               std::string_view body, std::string_view service, Signer* signer) const;
  void take_as_said(const Credentials& credentials, const http::Request& request, Signer& signer) const;

  struct Known {
    std::string secret, account;
  };
  const AuthMode mode_;
  const bool multi_account_;
  const std::string region_;
  const services::Sessions* const sessions_;
  const std::function<std::chrono::sys_seconds()> now_;
  const std::uint64_t number_;                      // what a thread's keys know this one by
  std::map<std::string, Known, std::less<>> keys_;  // by access key id
};

}  // namespace millrace::front
