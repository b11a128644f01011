#pragma once
#include "millrace/base/cores.hpp"
#include "millrace/base/files.hpp"
#include "millrace/delivery/delivery.hpp"
#include "millrace/objects/tree.hpp"
#include "services/kinesis_world.hpp"

namespace millrace::test {

/// KinesisWorld with delivery into memory files; its coroutines run on a core of their own.
class FirehoseWorld : public KinesisWorld {
 public:
  explicit FirehoseWorld(delivery::Options options = {}, streams::Options streams_options = {},
                         std::size_t memory_bytes = 256u << 20)
      : KinesisWorld(streams_options, nullptr, memory_bytes) {
    const delivery::Dependencies dependencies{clock, *random, cores, budget, *store, *streams, *tree};
    delivery = delivery::make_delivery(dependencies, options);
    environment.delivery = delivery.get();
    cores.start();
  }
  ~FirehoseWorld() {
    test::run(io, delivery->stop());
    cores.stop();
    cores.join();
  }

  Answer call_firehose_text(std::string_view operation, std::string_view body) {
    const services::Operation* found = services::find_service("firehose")->find(operation);
    if (!found) throw std::runtime_error("no operation " + std::string(operation));
    services::Context context{environment, "00000000-0000-4000-8000-000000000000"};
    services::Reply reply;
    test::run(io, found->run(context, body, reply));
    return answer(reply);
  }
  Answer call_firehose(std::string_view operation, const Json& body) {
    return call_firehose_text(operation, body.dump());
  }

  Cores cores{1};
  FileThreads file_threads{1};
  std::unique_ptr<MemoryFiles> files = make_memory_files();
  std::unique_ptr<objects::Tree> tree = objects::make_tree(*files, file_threads, "data/s3", false);
  std::unique_ptr<delivery::Delivery> delivery;
};

/// A CreateDeliveryStream request that is taken, from stream `clicks`.
inline Json delivery_stream(const std::string& name) {
  const std::string role = "arn:aws:iam::000000000000:role/firehose";
  return {{"DeliveryStreamName", name},
          {"DeliveryStreamType", "KinesisStreamAsSource"},
          {"KinesisStreamSourceConfiguration",
           {{"KinesisStreamARN", "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"}, {"RoleARN", role}}},
          {"ExtendedS3DestinationConfiguration", {{"BucketARN", "arn:aws:s3:::datalake"}, {"RoleARN", role}}}};
}

}  // namespace millrace::test
