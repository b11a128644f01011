#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace millrace {

/// Bytes somebody else owns. Text and binary alike: chars are bytes here.
using ByteView = std::string_view;

/// Bytes with what keeps them alive; an empty owner means that the caller outlives every use.
struct Slice {
  ByteView bytes;
  std::shared_ptr<const void> owner;
};

}  // namespace millrace
