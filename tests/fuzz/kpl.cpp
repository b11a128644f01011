// What a producer's library calls an aggregate: as it came, and as the message of one whose frame is right.
#include "millrace/codec/kpl.hpp"

#include <string>

#include "codec/exact_copy.hpp"
#include "fuzz/fuzz.hpp"
#include "support/kpl.hpp"

namespace millrace::codec::kpl {
namespace {

using fuzz::require;

void check(std::string_view bytes) {
  auto aggregate = Aggregate::open(bytes);
  if (!aggregate) return;
  const auto inside = [&](std::string_view view) {
    return view.data() >= bytes.data() && view.data() + view.size() <= bytes.data() + bytes.size();
  };
  const auto keys = aggregate->partition_keys(), hash_keys = aggregate->explicit_hash_keys();
  for (const auto& key : keys) require(inside(key), "keys stand in the record");
  // What was read is written again, in one order and without what is not known; it then reads the same.
  std::string message;
  for (const auto& key : keys) message += test::kpl::bytes_field(1, key);
  for (const auto& key : hash_keys) message += test::kpl::bytes_field(2, key);
  std::uint64_t records = 0;
  for (UserRecord record; aggregate->next(record); ++records) {
    require(inside(record.data), "data stands in the record");
    require(record.partition_key < keys.size(), "its key is there");
    require(!record.explicit_hash_key || *record.explicit_hash_key < hash_keys.size(), "its hash key is there");
    message += test::kpl::record(record.partition_key, record.data, record.explicit_hash_key);
  }
  require(records == aggregate->size(), "as many as were counted");
  const std::string again = test::kpl::framed(message);
  auto second = Aggregate::open(again);
  require(second && second->size() == records, "what was read can be written");
  auto first = Aggregate::open(bytes);
  for (UserRecord a, b; first->next(a);) {
    require(second->next(b) && a.data == b.data && a.partition_key == b.partition_key &&
                a.explicit_hash_key == b.explicit_hash_key,
            "and reads the same");
  }
}

}  // namespace
}  // namespace millrace::codec::kpl

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  millrace::codec::kpl::check(millrace::codec::ExactCopy(bytes).view());
  millrace::codec::kpl::check(millrace::codec::ExactCopy(millrace::test::kpl::framed(bytes)).view());
  return 0;
}
