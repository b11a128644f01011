#pragma once
#include <memory>
#include <string_view>

#include "gateway/vtl/lexer.hpp"
#include "gateway/vtl/nodes.hpp"

namespace millrace::gateway::vtl {

/// Throws CompileError. The program does not refer to `source`.
std::unique_ptr<const Program> parse(std::string_view source);

}  // namespace millrace::gateway::vtl
