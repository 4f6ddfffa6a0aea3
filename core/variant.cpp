// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/variant.h"

#include <unistd.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "core/architecture.h"
#include "core/base/strings.h"
#include "core/inference/packed_weights.h"

namespace bitloom {
namespace {

constexpr uint64_t kDecodedAtOnce = 1u << 15;  // weights of one chunk of parallel decoding
constexpr uint64_t kTileWeights = 1u << 22;  // 16 MiB: what is decoded at a time if nothing is kept
constexpr std::string_view kDefaultMethod = "nearest";

using EncodedTensor = std::shared_ptr<const Encoded>;

uint64_t thirdOfMemory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long pageBytes = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || pageBytes <= 0) return uint64_t{1} << 30;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(pageBytes) / 3;
}

// Rows [first, first + count) of `encoded`, or of the source when that is null.
void decodeParallel(const Tensor& source, const Encoded* encoded, uint64_t first, uint64_t count,
                    float* out, JobContext& job) {
  const size_t grain = std::max<uint64_t>(1, kDecodedAtOnce / source.rowLength());
  job.parallelFor(count, grain, [&](size_t begin, size_t end) {
    float* to = out + begin * source.rowLength();
    if (encoded != nullptr) {
      decodeRows(*encoded, first + begin, end - begin, to);
    } else {
      decodeRows(source, first + begin, end - begin, to);
    }
  });
}

}  // namespace

// Entries hold one kind of value; the other pointers are null. The front of the list was used last.
struct WeightCache::Entries {
  struct Entry {
    std::string key;
    uint64_t bytes;
    DecodedWeights decoded;
    EncodedTensor encoded;
    std::shared_ptr<const PackedWeights> packed;
  };

  uint64_t limit = 0;
  mutable std::mutex mutex;  // guards what follows
  uint64_t bytes = 0;
  std::list<Entry> order;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> byKey;

  // A copy of the entry, or one without values.
  Entry find(const std::string& key) {
    const std::lock_guard lock(mutex);
    const auto found = byKey.find(key);
    if (found == byKey.end()) return {};
    order.splice(order.begin(), order, found->second);
    return *found->second;
  }

  void keep(Entry entry) {
    if (entry.bytes > limit) return;
    const std::lock_guard lock(mutex);
    if (byKey.contains(entry.key)) return;  // another thread was faster
    while (bytes + entry.bytes > limit) {
      bytes -= order.back().bytes;
      byKey.erase(order.back().key);
      order.pop_back();
    }
    bytes += entry.bytes;
    order.push_front(std::move(entry));
    byKey.emplace(order.front().key, order.begin());
  }
};

WeightCache::WeightCache(uint64_t byteLimit) : m_entries(std::make_unique<Entries>()) {
  m_entries->limit = byteLimit == 0 ? thirdOfMemory() : byteLimit;
}

WeightCache::~WeightCache() = default;

uint64_t WeightCache::bytes() const {
  const std::lock_guard lock(m_entries->mutex);
  return m_entries->bytes;
}

uint64_t WeightCache::limit() const { return m_entries->limit; }

struct Variant::State {
  // How one tensor is seen; a null codec means as it is in the source. The keys of what the cache
  // holds of it: decoded, encoded, packed.
  struct View {
    const Codec* codec = nullptr;
    const Method* method = nullptr;
    std::map<std::string, std::string> options;
    std::string decodedKey;
    std::string encodedKey;
    std::string packedKey;
  };

  std::shared_ptr<const Model> model;
  std::shared_ptr<const Graph> graph;
  WeightCache::Entries* cache = nullptr;
  const Calibration* calibration = nullptr;
  Precision precision = Precision::Measure;
  std::shared_ptr<Backend> backend;
  std::vector<View> views;  // one for each of Model::tensors()

  const Tensor& source(size_t tensor) const { return model->tensors()[tensor]; }
  bool fitsCache(size_t tensor) const {  // decoded
    return source(tensor).weights() <= cache->limit / sizeof(float);
  }
  Result<void> readable(size_t tensor) const;
  void setKeys(size_t tensor);
  void set(size_t tensor, const Codec* codec, const Method* method,
           const std::map<std::string, std::string>& options);
  Result<Encoded> encode(size_t tensor, JobContext& job) const;
  Result<EncodedTensor> encoded(size_t tensor, bool keep, JobContext& job) const;
};

Result<void> Variant::State::readable(size_t tensor) const {
  const Tensor& t = source(tensor);
  if (t.codec != nullptr) return {};
  return makeError(ErrorCode::Unsupported, model->path().filename().string(), ": the tensor ",
                   t.name, " is stored as ", t.type, ", which this version cannot decode.");
}

void Variant::State::setKeys(size_t tensor) {
  View& view = views[tensor];
  std::string key = model->fingerprint() + '|' + source(tensor).name;
  if (view.codec != nullptr) {
    key.append("|").append(view.codec->name).append("|");
    if (view.method != nullptr) key += view.method->name;
    for (const auto& [name, value] : view.options) key += '|' + name + '=' + value;
    const bool calibrated = view.method != nullptr && view.method->needsCalibration;
    if (calibrated && calibration != nullptr) key += "|calibration " + calibration->hash;
  }
  view.encodedKey = key + "|encoded";
  view.packedKey = key + "|packed";
  view.decodedKey = std::move(key);
}

void Variant::State::set(size_t tensor, const Codec* codec, const Method* method,
                         const std::map<std::string, std::string>& options) {
  View& view = views[tensor];
  view = {};
  if (codec != nullptr) {
    view.codec = effectiveCodec(codec, source(tensor).rowLength());
    view.method = method == nullptr ? findMethod(kDefaultMethod) : method;
    view.options = options;
  }
  setKeys(tensor);
}

// Only methods that ask for statistics get them, so that the key of all others can leave them out.
Result<Encoded> Variant::State::encode(size_t tensor, JobContext& job) const {
  TRY(readable(tensor));
  const View& view = views[tensor];
  const Tensor& t = source(tensor);
  if (view.method == nullptr) {
    return makeError(ErrorCode::NotFound, "The tensor ", t.name, " is to be encoded by ",
                     kDefaultMethod, ", and this build has no such method.");
  }
  const TensorStatistics* statistics = nullptr;
  if (view.method->needsCalibration && calibration != nullptr) {
    const auto found = calibration->tensors.find(t.name);
    if (found != calibration->tensors.end()) statistics = &found->second;
  }
  const QuantizeTask task{
      .source = t, .codec = *view.codec, .statistics = statistics, .options = view.options};
  return view.method->quantize(task, job);
}

Result<EncodedTensor> Variant::State::encoded(size_t tensor, bool keep, JobContext& job) const {
  const std::string& name = views[tensor].encodedKey;
  if (EncodedTensor known = cache->find(name).encoded) return known;
  TRY(Encoded made, encode(tensor, job));
  const uint64_t bytes = made.bytes.size();
  auto shared = std::make_shared<const Encoded>(std::move(made));
  if (keep) {
    cache->keep(
        {.key = name, .bytes = bytes, .decoded = nullptr, .encoded = shared, .packed = nullptr});
  }
  return EncodedTensor(std::move(shared));
}

Variant::Variant(std::unique_ptr<State> state) : m_state(std::move(state)) {}
Variant::Variant(Variant&&) noexcept = default;
Variant& Variant::operator=(Variant&&) noexcept = default;
Variant::~Variant() = default;

Result<Variant> Variant::create(std::shared_ptr<const Model> model, WeightCache& cache) {
  TRY(Graph graph, buildGraph(*model));
  auto state = std::make_unique<State>();
  state->views.resize(model->tensors().size());
  state->model = std::move(model);
  state->graph = std::make_shared<const Graph>(std::move(graph));
  state->cache = cache.m_entries.get();
  for (size_t i = 0; i < state->views.size(); ++i) state->setKeys(i);
  return Variant(std::move(state));
}

Variant Variant::copy() const { return Variant(std::make_unique<State>(*m_state)); }

const Model& Variant::model() const { return *m_state->model; }
std::shared_ptr<const Model> Variant::sharedModel() const { return m_state->model; }
const Graph& Variant::graph() const { return *m_state->graph; }

void Variant::setPlan(const Plan& plan, const Calibration* calibration) {
  m_state->calibration = calibration;
  for (size_t i = 0; i < m_state->views.size(); ++i) m_state->set(i, nullptr, nullptr, {});
  for (const Choice& choice : plan.tensors) {
    CHECK(choice.tensor < m_state->views.size());
    m_state->set(choice.tensor, choice.effective, choice.method, choice.options);
  }
}

void Variant::setTensor(size_t tensor, const Codec* codec, const Method* method,
                        const std::map<std::string, std::string>& options) {
  CHECK(tensor < m_state->views.size());
  m_state->set(tensor, codec, method, options);
}

void Variant::setPrecision(Precision precision) { m_state->precision = precision; }

Precision Variant::precision() const { return m_state->precision; }

void Variant::setBackend(std::shared_ptr<Backend> backend) {
  m_state->backend = std::move(backend);
}

const std::shared_ptr<Backend>& Variant::backend() const { return m_state->backend; }

void Variant::setCalibration(const Calibration* calibration) {
  m_state->calibration = calibration;
  for (size_t i = 0; i < m_state->views.size(); ++i) m_state->setKeys(i);
}

bool Variant::isChanged(size_t tensor) const { return m_state->views[tensor].codec != nullptr; }

std::string Variant::signatureOf(size_t tensor) const { return m_state->views[tensor].decodedKey; }

const Codec* Variant::codecOf(size_t tensor) const {
  const Codec* changed = m_state->views[tensor].codec;
  return changed == nullptr ? m_state->source(tensor).codec : changed;
}

const Method* Variant::methodOf(size_t tensor) const { return m_state->views[tensor].method; }

Result<Encoded> Variant::encode(size_t tensor, JobContext& job) const {
  CHECK(isChanged(tensor));
  return m_state->encode(tensor, job);
}

Result<DecodedWeights> Variant::weights(size_t tensor, JobContext& job) const {
  const std::string& key = m_state->views[tensor].decodedKey;
  if (DecodedWeights known = m_state->cache->find(key).decoded) return known;
  TRY(m_state->readable(tensor));
  const Tensor& source = m_state->source(tensor);
  EncodedTensor encoded;
  if (isChanged(tensor)) {
    TRY(encoded, m_state->encoded(tensor, !m_state->fitsCache(tensor), job));
  }
  TRY(job.checkpoint());
  auto decoded = std::make_shared<std::vector<float>>(source.weights());
  decodeParallel(source, encoded.get(), 0, source.rows(), decoded->data(), job);
  const uint64_t bytes = decoded->size() * sizeof(float);
  m_state->cache->keep(
      {.key = key, .bytes = bytes, .decoded = decoded, .encoded = nullptr, .packed = nullptr});
  return DecodedWeights(std::move(decoded));
}

Result<std::shared_ptr<const PackedWeights>> Variant::packed(size_t tensor, JobContext& job) const {
  using Packed = std::shared_ptr<const PackedWeights>;
  const std::string& key = m_state->views[tensor].packedKey;
  if (Packed known = m_state->cache->find(key).packed) return known;
  TRY(m_state->readable(tensor));
  const Tensor& source = m_state->source(tensor);
  const uint64_t bytes = packedBytes(*codecOf(tensor), source.rows(), source.rowLength());
  if (bytes > m_state->cache->limit) return Packed();
  EncodedTensor encoded;
  if (isChanged(tensor)) {
    TRY(encoded, m_state->encoded(tensor, false, job));
  }
  TRY(PackedWeights made, packWeights(source, encoded.get(), job));
  Packed packed = std::make_shared<const PackedWeights>(std::move(made));
  m_state->cache->keep(
      {.key = key, .bytes = bytes, .decoded = nullptr, .encoded = nullptr, .packed = packed});
  return packed;
}

Result<void> Variant::tiles(size_t tensor, const TileVisitor& visit, JobContext& job) const {
  const Tensor& source = m_state->source(tensor);
  if (m_state->fitsCache(tensor)) {
    TRY(const DecodedWeights whole, weights(tensor, job));
    return visit(0, source.rows(), whole->data());
  }
  TRY(m_state->readable(tensor));
  EncodedTensor encoded;
  if (isChanged(tensor)) {
    TRY(encoded, m_state->encoded(tensor, true, job));
  }
  const uint64_t tileRows = std::max<uint64_t>(1, kTileWeights / source.rowLength());
  std::vector<float> tile(std::min(tileRows, source.rows()) * source.rowLength());
  for (uint64_t first = 0; first < source.rows(); first += tileRows) {
    TRY(job.checkpoint());
    const uint64_t count = std::min(tileRows, source.rows() - first);
    decodeParallel(source, encoded.get(), first, count, tile.data(), job);
    TRY(visit(first, count, tile.data()));
  }
  return {};
}

Result<void> Variant::gather(size_t tensor, std::span<const uint32_t> rows, float* out,
                             JobContext& job) const {
  const Tensor& source = m_state->source(tensor);
  const uint64_t length = source.rowLength();
  const DecodedWeights known = m_state->cache->find(m_state->views[tensor].decodedKey).decoded;
  TRY(m_state->readable(tensor));
  EncodedTensor encoded;
  if (!known && isChanged(tensor)) {
    TRY(encoded, m_state->encoded(tensor, true, job));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    CHECK(rows[i] < source.rows());
    float* to = out + i * length;
    if (known) {
      std::copy_n(known->data() + rows[i] * length, length, to);
    } else if (encoded) {
      decodeRows(*encoded, rows[i], 1, to);
    } else {
      decodeRows(source, rows[i], 1, to);
    }
  }
  return {};
}

}  // namespace bitloom
