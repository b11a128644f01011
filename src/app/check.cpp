#include <iostream>

#include "app/certificates.hpp"
#include "app/commands.hpp"
#include "app/house.hpp"
#include "app/signals.hpp"

namespace millrace::app {

int check(const config::Config& config) {
  config::Config now = config;
  now.storage_mode = "memory";                                                         // what is stored stays untouched
  now.stream_create_delay = now.stream_update_delay = now.delivery_create_delay = {};  // nobody waits to see states
  check_certificate(now, true);
  Signals signals;
  House house(now, 1);
  std::future<void> opened = signals.start(house.executor(), house.open());
  signals.wait([&] { return Signals::ready(opened); });
  opened.get();
  for (const std::string& line : house.describe()) std::cout << line << '\n';
  std::cout << "valid: aws " << now.listen_aws << " gateway " << now.listen_gateway << std::endl;
  return 0;
}

}  // namespace millrace::app
