// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantize.h"

#include <algorithm>
#include <chrono>
#include <future>

#include "core/base/strings.h"
#include "core/io/gguf_layout.h"
#include "core/io/gguf_writer.h"
#include "core/io/sha256.h"
#include "core/methods/nearest/encode_rows.h"

namespace bitloom {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPiece = 4 << 20;       // hashed between two looks at the job
constexpr size_t kTensorsPerThread = 4;  // hashed between two checkpoints

bool isCopied(const Choice& choice, const Tensor& source) {
  return !choice.effective || choice.effective == source.codec;
}

// "model-00002-of-00005.gguf" → "model"; "" when the name is not of a split set.
std::string splitPrefix(const fs::path& path) {
  const std::string name = path.stem().string();
  constexpr size_t kSuffix = 15;  // -00002-of-00005
  if (name.size() < kSuffix) return {};
  const std::string_view suffix = std::string_view(name).substr(name.size() - kSuffix);
  if (!globMatch("-?????"
                 "-of-?????",
                 suffix))
    return {};
  return name.substr(0, name.size() - kSuffix);
}

Result<void> refuseSource(const Model& model, const fs::path& target) {
  std::error_code ignored;
  const std::string prefix = splitPrefix(target);
  const bool sibling = !prefix.empty() && prefix == splitPrefix(model.path()) &&
                       fs::equivalent(fs::absolute(target).parent_path(),
                                      fs::absolute(model.path()).parent_path(), ignored);
  if (!sibling && !fs::equivalent(target, model.path(), ignored)) return {};
  return makeError(ErrorCode::InvalidArgument, target.string(),
                   " is the model that is read, so it cannot be written.");
}

// Empty when no choice uses calibration. The error names the first tensor that lacks it.
Result<std::string> calibrationHash(const Model& model, const Plan& plan,
                                    const Calibration* calibration) {
  for (const Choice& choice : plan.tensors) {
    const Tensor& source = model.tensors()[choice.tensor];
    if (isCopied(choice, source) || !choice.method->needsCalibration) continue;
    if (calibration) return calibration->hash;
    return makeError(ErrorCode::InvalidArgument, source.name, ": method ", choice.method->name,
                     " needs a calibration, and none was given.");
  }
  return std::string();
}

Result<void> checkPlan(const Model& model, const Plan& plan) {
  bool fits = plan.tensors.size() == model.tensors().size();
  for (size_t i = 0; fits && i < plan.tensors.size(); ++i) fits = plan.tensors[i].tensor == i;
  if (fits) return {};
  return makeError(ErrorCode::InvalidArgument, "The plan has ", plan.tensors.size(),
                   " tensors, but ", model.path().string(), " has ", model.tensors().size(), ".");
}

// No bytes for a tensor that is copied.
Result<Encoded> encode(const Tensor& source, const Choice& choice, const Calibration* calibration,
                       JobContext& job) {
  if (isCopied(choice, source)) {
    if (source.codec) TRY(checkFinite(source, job));
    return Encoded{};
  }
  const TensorStatistics* statistics = calibration ? calibration->find(source.name) : nullptr;
  TRY(Encoded encoded,
      choice.method->quantize({source, *choice.effective, statistics, choice.options}, job));
  if (encoded.bytes.size() != choice.bytes) {
    return makeError(ErrorCode::Unsupported, source.name, ": method ", choice.method->name,
                     " gave ", encoded.bytes.size(), " bytes, but the plan has ", choice.bytes,
                     ".");
  }
  return encoded;
}

// While a tensor is hashed, written and made durable, the next one is encoded.
Result<void> writeTensors(const Model& model, const Plan& plan, const Calibration* calibration,
                          GgufWriter& writer, JobContext& job) {
  std::future<Result<void>> writing;  // waited for when it goes
  const auto written = [&]() -> Result<void> {
    if (!writing.valid()) return {};
    return writing.get();
  };
  for (size_t i = writer.next(); i < plan.tensors.size(); ++i) {
    const Tensor& source = model.tensors()[i];
    const Choice& choice = plan.tensors[i];
    job.step(source.name);
    TRY(job.checkpoint());
    TRY(Encoded encoded, encode(source, choice, calibration, job));
    TRY(written());
    const auto write = [&, data = std::move(encoded.bytes)]() -> Result<void> {
      TRY(writer.write(isCopied(choice, source) ? source.bytes : std::span(data), job));
      model.release(source);
      return {};
    };
    writing = std::async(std::launch::async, std::move(write));
  }
  return written();
}

// "" when the job is cancelled.
std::string digestOf(std::span<const std::byte> bytes, const JobContext& job) {
  Sha256 hash;
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    if (job.cancelled()) return {};
    hash.update(bytes.subspan(at, std::min(kPiece, bytes.size() - at)));
  }
  return hash.hex();
}

Result<std::vector<std::string>> digestsOf(const Model& model, JobContext& job) {
  const std::span<const Tensor> tensors = model.tensors();
  std::vector<std::string> digests(tensors.size());
  const size_t wave = kTensorsPerThread * size_t(job.workers().threads());
  for (size_t first = 0; first < tensors.size(); first += wave) {
    TRY(job.checkpoint());
    job.parallelFor(std::min(wave, tensors.size() - first), 1, [&](size_t begin, size_t end) {
      for (size_t i = first + begin; i < first + end; ++i) {
        digests[i] = digestOf(tensors[i].bytes, job);
        model.release(tensors[i]);
      }
    });
  }
  TRY(job.checkpoint());
  return digests;
}

// Reads the file again as any reader would and compares it with the plan.
Result<void> compare(const fs::path& written, const Model& model, const Plan& plan,
                     const FileLayout& layout, const std::string& header,
                     const std::vector<std::string>& digests, JobContext& job) {
  TRY(const std::shared_ptr<const Model> read, Model::open(written));
  const auto differs = [&](std::string_view what) {
    return makeError(ErrorCode::Io, written.string(), ": ", what,
                     " differs from the plan after writing, so the file was removed.");
  };
  if (read->fileBytes() != layout.fileBytes) return differs("the size");
  if (read->tensors().size() != plan.tensors.size()) return differs("the number of tensors");
  if (headerBytes(read->metadata(), layout.tensors) != header) return differs("the metadata");
  TRY(const std::vector<std::string> found, digestsOf(*read, job));
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const Tensor& got = read->tensors()[i];
    const Tensor& source = model.tensors()[i];
    const Codec* effective = plan.tensors[i].effective;
    if (got.name != source.name || got.shape != source.shape ||
        got.dimensions != source.dimensions ||
        got.type != (effective ? effective->name : std::string_view(source.type))) {
      return differs(source.name);
    }
    if (got.bytes.size() != layout.tensors[i].bytes || found[i] != digests[i]) {
      return differs(strCat("the data of ", source.name));
    }
  }
  return {};
}

}  // namespace

Result<QuantizeSummary> quantize(const Model& model, const Plan& plan,
                                 const Calibration* calibration, const fs::path& target,
                                 const QuantizeOptions& options, JobContext& job) {
  const auto begin = std::chrono::steady_clock::now();
  TRY(checkPlan(model, plan));
  TRY(refuseSource(model, target));
  TRY(const std::string calibrated, calibrationHash(model, plan, calibration));
  TRY(const FileLayout layout, layoutOf(model, plan));
  const std::string header = headerBytes(outputMetadata(model, plan, calibrated), layout.tensors);
  const std::string identity = sha256Hex(strCat(BITLOOM_VERSION, plan.hash, sha256Hex(header)));

  job.begin(plan.tensorBytes, "bytes");
  job.step("checking the target");
  TRY(GgufWriter writer,
      GgufWriter::create(target, header, layout, {identity, options.resume}, job));
  for (size_t i = 0; i < writer.next(); ++i) job.advance(layout.tensors[i].bytes);
  TRY(writeTensors(model, plan, calibration, writer, job));
  job.step("comparing the written file with the plan");
  TRY(const fs::path written, writer.finish());
  TRY(compare(written, model, plan, layout, header, writer.digests(), job));
  TRY(writer.commit());

  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  return QuantizeSummary{target, layout.fileBytes, plan.bitsPerWeight, seconds.count(), plan};
}

}  // namespace bitloom
