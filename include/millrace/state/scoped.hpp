#pragma once
#include <memory>
#include <string>

#include "millrace/state/store.hpp"

namespace millrace::state {

/// A store's keys under one prefix, as a store of its own: what is put into it, listed and watched has the prefix in
/// the whole one and none here. Numbers are the whole store's: two stores of this kind never give the same one.
/// clear() removes the keys under the prefix. `whole` outlives it.
std::unique_ptr<Store> make_scoped_store(Store& whole, std::string prefix);

}  // namespace millrace::state
