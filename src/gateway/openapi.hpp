#pragma once
#include "gateway/api.hpp"
#include "millrace/gateway/gateway.hpp"

namespace millrace::gateway {

/// Reads an OpenAPI 3.0 document with API Gateway's extensions and compiles its templates. What the document asks for
/// and this gateway does not do is an error that names the place; nothing is passed over that would change what a
/// client gets.
/// @return resources only; the caller names the API
Result<std::vector<Resource>> import_openapi(const ApiSpec& spec, const ServiceCaller& services);

/// `characters` letters and digits, the same for the same text.
std::string stable_id(std::string_view text, std::size_t characters);

}  // namespace millrace::gateway
