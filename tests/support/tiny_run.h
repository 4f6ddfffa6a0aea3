// SPDX-License-Identifier: GPL-3.0-or-later
// A model opened for computing, with the pool and the job that every long function wants.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <random>
#include <vector>

#include "core/base/job.h"
#include "core/inference/tokenizer.h"
#include "core/model.h"
#include "core/variant.h"
#include "tests/support/paths.h"
#include "tests/support/tiny_model.h"

namespace bitloom::test {

template <typename T>
T take(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(*result);
}

class TinyRun {
 public:
  explicit TinyRun(const TinyModelOptions& options = {}, int threads = 2)
      : TinyRun(std::filesystem::path(), options, threads) {}
  explicit TinyRun(const std::filesystem::path& file, int threads = 2)
      : TinyRun(file, {}, threads) {}

  Workers& workers() { return m_workers; }
  JobControl& control() { return m_control; }
  JobContext& job() { return m_job; }
  const std::shared_ptr<const Model>& model() const { return m_model; }
  const Variant& reference() const { return m_reference; }
  void setPrecision(Precision precision) { m_reference.setPrecision(precision); }
  Tokenizer tokenizer() const { return take(Tokenizer::create(m_model->metadata())); }

  size_t tensor(std::string_view name) const {
    const Tensor* found = m_model->find(name);
    if (found == nullptr) {
      ADD_FAILURE() << "no tensor " << name;
      std::abort();
    }
    return m_model->indexOf(*found);
  }

  // The reference with some tensors as `codec` and the default method.
  Variant with(std::initializer_list<const char*> names, std::string_view codec) const {
    Variant changed = m_reference.copy();
    for (const char* name : names) changed.setTensor(tensor(name), findCodec(codec));
    return changed;
  }

  std::vector<TokenId> randomTokens(size_t count, unsigned seed = 1) const {
    std::mt19937 generator(seed);
    std::uniform_int_distribution<TokenId> any(0, TokenId(m_reference.graph().vocabulary) - 1);
    std::vector<TokenId> tokens(count);
    for (TokenId& token : tokens) token = any(generator);
    return tokens;
  }

 private:
  // An empty path stands for the tiny model.
  TinyRun(const std::filesystem::path& file, const TinyModelOptions& options, int threads)
      : m_workers(threads),
        m_job(m_workers, m_control),
        m_cache(uint64_t{1} << 30),
        m_model(take(
            Model::open(file.empty() ? writeTinyModel(m_folder / "tiny.gguf", options) : file))),
        m_reference(take(Variant::create(m_model, m_cache))) {}

  TempDir m_folder;
  Workers m_workers;
  JobControl m_control;
  JobContext m_job;
  WeightCache m_cache;
  std::shared_ptr<const Model> m_model;
  Variant m_reference;
};

}  // namespace bitloom::test
