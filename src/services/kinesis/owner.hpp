#pragma once
#include <optional>
#include <string_view>

#include "millrace/services/operation.hpp"

namespace millrace::services::kinesis {

/// Service::find_owner of Kinesis: a call is about another account's stream or consumer where StreamARN, ConsumerARN or
/// ResourceARN says so, or the page token of a listing without any. Where policies are evaluated, that is refused
/// unless the resource's own policy allows it, for the operations that AWS lets a policy share; else it is served.
/// Source: https://docs.aws.amazon.com/streams/latest/dev/controlling-access.html
std::optional<ServiceError> find_owner(const Context& caller, std::string_view operation, std::string_view body,
                                       Environment*& owner);

}  // namespace millrace::services::kinesis
