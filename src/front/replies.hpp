#pragma once
#include <string>
#include <string_view>

#include "millrace/services/operation.hpp"

/// Bodies of the answers that no operation gives.
namespace millrace::front {

inline constexpr std::string_view kJsonType = "application/x-amz-json-1.1";
inline constexpr std::string_view kCborType = "application/x-amz-cbor-1.1";
inline constexpr std::string_view kOldJsonType = "application/x-amz-json-1.0";
inline constexpr std::string_view kPlainJsonType = "application/json";
inline constexpr std::string_view kXmlType = "text/xml";
inline constexpr std::string_view kRpcCborType = "application/cbor";
inline constexpr std::string_view kFormType = "application/x-www-form-urlencoded";

constexpr std::string_view content_type_of(services::Wire wire) noexcept {
  return wire == services::Wire::cbor ? kCborType : kJsonType;
}

inline constexpr std::string_view kAccessDeniedXml =
    "<AccessDeniedException>\n"
    "  <Message>Unable to determine service/operation name to be authorized</Message>\n"
    "</AccessDeniedException>\n";
inline constexpr std::string_view kUnknownOperationXml = "<UnknownOperationException/>\n";

/// `text` between tags.
std::string xml_text(std::string_view text);

/// What application/json gets: the error inside "Output".
std::string coral_error(std::string_view type);

/// In which protocol a service that is not served speaks.
enum class Protocol { json, query, s3 };
Protocol protocol_of(std::string_view signing_name) noexcept;
/// Answers `message` as an unknown action in that protocol.
struct UnservedReply {
  int status;
  std::string_view content_type;
  std::string body;
};
UnservedReply unserved_reply(Protocol protocol, std::string_view message, std::string_view request_id);

}  // namespace millrace::front
