#pragma once
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {

inline constexpr std::size_t kPolicyBytesMax = 20 * 1024;

/// Whether `policy` is a resource-based policy for the resource of that ARN: IAM's grammar as far as it goes for
/// Kinesis (version, statements with an effect, principals, actions of Kinesis and the resource).
/// @param evaluated  it will be: its conditions must be such as are known here
/// Source: https://docs.aws.amazon.com/streams/latest/dev/controlling-access.html
std::optional<ServiceError> check_policy(std::string_view policy, std::string_view arn, bool evaluated);

/// As find_resource(); a stream that is not there is named by its ARN, as AWS does here.
Outcome<Resource> find_resource_with_policy(const Environment& environment, const ResourceSelector& selector);

/// Empty: none from now on.
awaitable<Outcome<NoOutput>> set_policy(const Environment& environment, Resource resource, std::string arn,
                                        std::string policy);

}  // namespace millrace::services::kinesis
