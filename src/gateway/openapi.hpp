#pragma once
#include "gateway/api.hpp"
#include "millrace/gateway/gateway.hpp"

namespace millrace::gateway {

/// Reads an OpenAPI 3.0 document with API Gateway's extensions and compiles its templates. What the document asks for
/// and this gateway does not do is an error that names the place; nothing is passed over that would change what a
/// client gets.
/// @return resources only; the caller names the API
/// @error  every mistake, one a line, in the order of the file
Result<std::vector<Resource>> import_openapi(const ApiSpec& spec, const ServiceCaller& services);

/// `file:line:column: ` before what is wrong there.
std::string place_text(const ApiSpec& spec, codec::TextPlace at);

/// `characters` letters and digits, the same for the same text.
std::string stable_id(std::string_view text, std::size_t characters);

}  // namespace millrace::gateway
