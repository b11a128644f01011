#pragma once
#include <optional>
#include <string_view>

#include "millrace/base/http.hpp"
#include "millrace/services/operation.hpp"

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

/// AWS's refusal when the signature's parts are not all there; nothing when they are. Signatures are not verified.
std::optional<services::ServiceError> missing_authentication(const Credentials& credentials, std::string_view query);

/// The service in the credential scope, of the header or the query: "kinesis"; empty when there is none.
std::string_view scope_service(std::string_view authorization, std::string_view query) noexcept;

}  // namespace millrace::front
