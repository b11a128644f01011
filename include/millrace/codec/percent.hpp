#pragma once
#include <string>
#include <string_view>

namespace millrace::codec {

/// Percent-decodes; what is not a proper escape stays as it is.
std::string decode_percent(std::string_view text);
/// The same with '+' as a blank (form encoding).
std::string decode_form(std::string_view text);
std::string encode_form(std::string_view text);

}  // namespace millrace::codec
