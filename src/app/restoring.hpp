#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "millrace/config/config.hpp"
#include "millrace/snapshots/snapshots.hpp"

namespace millrace::app {

/// What a restore is carried out with, where no house is: the data directory is locked, and nothing in it is open.
class Restoring {
 public:
  explicit Restoring(const config::Config& config);
  /// Carries out what was prepared. Throws StartError.
  std::optional<snapshots::Restore> finish();
  /// What was restored does not start, for this reason. Whether what there was before has been prepared instead.
  bool go_back(const snapshots::Restore& restored, const std::string& why);

 private:
  boost::asio::io_context io_;
  const std::unique_ptr<Files> files_ = make_system_files();
  const std::unique_ptr<Random> random_ = make_system_random();
  SystemClock clock_{io_.get_executor()};
  const snapshots::Place place_;
};

}  // namespace millrace::app
