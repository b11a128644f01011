#include "services/kinesis/record_pieces.hpp"

namespace millrace::services::kinesis {

std::vector<ChildShard> children_of(const streams::Stream& stream, std::uint32_t parent) {
  std::vector<ChildShard> children;
  for (const auto& shard : stream.shards) {
    if (shard->parent != parent && shard->adjacent_parent != parent) continue;
    ChildShard child{shard->id, {}, hash_key_range_output(shard->range)};
    if (shard->parent) child.parents.push_back(shard_id(*shard->parent));
    if (shard->adjacent_parent) child.parents.push_back(shard_id(*shard->adjacent_parent));
    children.push_back(std::move(child));
  }
  return children;
}

}  // namespace millrace::services::kinesis
