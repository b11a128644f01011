#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "millrace/services/operation.hpp"

/// The protocols of services that older SDKs ask by forms (AWS's query protocol) and newer ones by Smithy RPC v2 CBOR:
/// operations take and give JSON, and this is the way there and back.
namespace millrace::front {

/// What RPC v2 CBOR posts to /service/{prefix}/operation/{operation}.
struct RpcPath {
  std::string_view service, operation;
};
std::optional<RpcPath> read_rpc_path(std::string_view path) noexcept;

/// The one map that `body` is, as JSON: bytes in base64, times in epoch seconds. Nothing: it is none.
std::optional<std::string> json_of_cbor(std::string_view body);
/// A JSON object as CBOR.
std::string cbor_of_json(std::string_view json);

/// The parameters of a form, `a.member.1.b=c`, as the JSON that an operation with these members takes. What is not a
/// number, a truth or a time where one is wanted stays a text, and is refused as one. Parameters without a member are
/// left out; so is what is deeper or farther on in a list than any client writes it.
std::string json_of_form(std::string_view form, std::span<const services::Field> members);
/// One parameter of a form, decoded; empty when there is none.
std::string form_parameter(std::string_view form, std::string_view name);

/// @param output  JSON; empty: no output
std::string query_reply(const services::Service& service, std::string_view operation, std::string_view output,
                        std::string_view request_id);
std::string query_error(const services::Service& service, const services::ServiceError& error,
                        std::string_view request_id);
/// Whether an error is of who asks, which the query protocol answers with 403.
bool forbids(std::string_view type) noexcept;
/// What an error is called in the query protocol: ValidationException is ValidationError.
std::string query_code(std::string_view type);

}  // namespace millrace::front
