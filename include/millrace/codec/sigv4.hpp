#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "millrace/base/http.hpp"

struct evp_mac_ctx_st;

/// AWS Signature Version 4, HMAC-SHA256: what is signed of a request, and with what. Source: the AWS General Reference,
/// "Signature Version 4 signing process".
namespace millrace::codec::sigv4 {

inline constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view kTerminator = "aws4_request";

/// `<access key id>/<yyyymmdd>/<region>/<service>/aws4_request`
struct Credential {
  std::string_view access_key_id, date, region, service, terminator;
};
/// Nothing: there are not five parts.
std::optional<Credential> parse_credential(std::string_view text) noexcept;

/// `20261120T101500Z`, or the HTTP date `Fri, 20 Nov 2026 10:15:00 GMT`.
std::optional<std::chrono::sys_seconds> parse_time(std::string_view text) noexcept;
/// `20261120T101500Z`
std::string time_text(std::chrono::sys_seconds time);

/// The request as both sides write it down. Header fields of one name are joined, those that are not there are empty.
/// @param signed_headers  `host;x-amz-date`, as the request names them
/// @param payload_hash    SHA-256 of the body, in hexadecimal
std::string canonical_request(const http::Request& request, std::string_view signed_headers,
                              std::string_view payload_hash);
/// What the key signs.
/// @param time  as the request has it, in the basic format
std::string string_to_sign(std::string_view time, const Credential& scope, std::string_view canonical_request);

/// SHA-256, in hexadecimal.
std::string hash_text(std::string_view bytes);
std::string hexadecimal(std::span<const std::uint8_t> bytes);

/// The key of one day, region and service. Of one thread.
class SigningKey {
 public:
  SigningKey(std::string_view secret_access_key, const Credential& scope);
  std::array<std::uint8_t, 32> sign(std::string_view string_to_sign);

 private:
  struct Free {
    void operator()(evp_mac_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_mac_ctx_st, Free> context_;
};

}  // namespace millrace::codec::sigv4
