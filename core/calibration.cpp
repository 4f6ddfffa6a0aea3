// SPDX-License-Identifier: GPL-3.0-or-later
// Column sums are kept in f64 and each column is summed over tokens in their order, by one thread,
// so that the numbers do not depend on the number of threads.
#include "core/calibration.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/base/strings.h"
#include "core/calibration_writer.h"
#include "core/inference/forward.h"
#include "core/inference/tokenizer.h"
#include "core/io/sha256.h"
#include "core/variant.h"
#include "kernels/cpu/kernels.h"

namespace bitloom {
namespace {

constexpr size_t kGrainColumns = 128;
constexpr size_t kHeadRows = 64;           // at a time: their logits are computed and thrown away
constexpr size_t kHeldOut = 10;            // one chunk of so many, and at least one
constexpr float kMostEnergy = 100;         // of a token, times the median
constexpr size_t kGrainMoments = 64;       // rows of XXᵀ to a task
constexpr size_t kHashedBytes = 64 << 10;  // of each matrix of moments

// The text as it is run: chunks of one length, those of the corpus in turn.
struct Chunks {
  std::vector<TokenId> tokens;
  std::vector<bool> held;  // of each chunk
  std::vector<CalibrationSource> sources;
  std::vector<uint64_t> shingles;
};

std::string nameOf(const CorpusPart& part) {
  return part.file.empty() ? "The calibration text" : part.file;
}

Result<std::vector<TokenId>> tokensOf(const Tokenizer& tokenizer, const CorpusPart& part,
                                      size_t chunk) {
  std::vector<TokenId> tokens;
  for (const CorpusText& document : part.documents) {
    const auto ids = tokenizer.encodeWithBos(document.text, document.special);
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  if (tokens.size() >= chunk) return tokens;
  return makeError(ErrorCode::InvalidArgument, nameOf(part), ": has ", tokens.size(),
                   " tokens, and one chunk needs ", chunk, ".");
}

// How many chunks each stratum gives: one each in turn, as long as it has some.
std::vector<size_t> sharesOf(const std::vector<std::vector<TokenId>>& texts, size_t length,
                             size_t most) {
  std::vector<size_t> shares(texts.size());
  size_t total = 0;
  for (bool any = true; any;) {
    any = false;
    for (size_t i = 0; i < texts.size() && (most == 0 || total < most); ++i) {
      if ((shares[i] + 1) * length > texts[i].size()) continue;
      ++shares[i];
      ++total;
      any = true;
    }
  }
  return shares;
}

Result<Chunks> chunksOf(const Tokenizer& tokenizer, std::span<const CorpusPart> corpus,
                        const CalibrateOptions& options) {
  const size_t length = options.chunkTokens;
  if (length == 0) return makeError(ErrorCode::InvalidArgument, "A chunk of 0 tokens is empty.");
  CHECK(!corpus.empty());
  std::vector<std::vector<TokenId>> texts;
  for (const CorpusPart& part : corpus) {
    TRY(auto tokens, tokensOf(tokenizer, part, length));
    texts.push_back(std::move(tokens));
  }
  const std::vector<size_t> shares = sharesOf(texts, length, options.maxChunks);
  Chunks chunks;
  std::string read;
  for (size_t i = 0; i < corpus.size(); ++i) {
    chunks.sources.push_back(
        {corpus[i].stratum, corpus[i].file, hashOf(corpus[i]), uint32_t(shares[i])});
    read += tokenizer.decode(std::span(texts[i]).first(shares[i] * length)) + "\n";
  }
  chunks.shingles = shinglesOf(read);
  for (size_t round = 0; round < *std::max_element(shares.begin(), shares.end()); ++round) {
    for (size_t i = 0; i < corpus.size(); ++i) {
      if (round >= shares[i]) continue;
      const auto first = texts[i].begin() + ptrdiff_t(round * length);
      chunks.tokens.insert(chunks.tokens.end(), first, first + ptrdiff_t(length));
      if (tokenizer.addsBos() && tokenizer.bos())
        chunks.tokens[chunks.tokens.size() - length] = *tokenizer.bos();
      // A stratum with one chunk gives it to be used.
      chunks.held.push_back(shares[i] > 1 && round % kHeldOut == std::min(kHeldOut, shares[i]) - 1);
    }
  }
  if (chunks.held.size() > 1 && std::count(chunks.held.begin(), chunks.held.end(), true) == 0)
    chunks.held.back() = true;
  if (options.moments && chunks.held.size() < 2) {
    return makeError(ErrorCode::InvalidArgument, nameOf(corpus.front()),
                     ": moments need two chunks of ", length, " tokens, one to judge by.");
  }
  return chunks;
}

// Linear ops that read the same, in the order of the graph.
struct Input {
  size_t columns;
  std::vector<size_t> weights;  // tensors; the first one gives the input its name
};

std::vector<Input> inputsOf(const Graph& graph, const Model& model) {
  std::vector<Input> inputs;
  const Op* first = nullptr;
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::Linear) {
      first = nullptr;
      continue;
    }
    if (first == nullptr || first->input != op.input) {
      first = &op;
      inputs.push_back({model.tensors()[size_t(op.weight)].rowLength(), {}});
    }
    inputs.back().weights.push_back(size_t(op.weight));
  }
  return inputs;
}

// What one input has given so far.
struct Gathered {
  uint64_t tokens = 0;
  std::vector<double> squares;
  std::vector<double> sizes;
  std::vector<float> largest;
  std::vector<float> moments[2];  // sums over chunks that are used, that are held out
  uint64_t momentTokens[2] = {};
};

void accumulate(Gathered& sums, const Matrix& input, JobContext& job) {
  sums.squares.resize(input.cols);
  sums.sizes.resize(input.cols);
  sums.largest.resize(input.cols);
  sums.tokens += input.rows;
  job.parallelFor(input.cols, kGrainColumns, [&](size_t begin, size_t end) {
    for (size_t row = 0; row < input.rows; ++row) {
      const float* x = input.row(row);
      for (size_t column = begin; column < end; ++column) {
        const float size = std::fabs(x[column]);
        sums.squares[column] += double(size) * double(size);
        sums.sizes[column] += double(size);
        sums.largest[column] = std::max(sums.largest[column], size);
      }
    }
  });
}

// The rows' transposed, those of too much energy made smaller.
std::vector<float> cappedColumns(const Matrix& input) {
  std::vector<float> energies(input.rows);
  for (size_t row = 0; row < input.rows; ++row) {
    for (size_t i = 0; i < input.cols; ++i) energies[row] += input.row(row)[i] * input.row(row)[i];
  }
  std::vector<float> order = energies;
  std::nth_element(order.begin(), order.begin() + ptrdiff_t(order.size() / 2), order.end());
  const float most = kMostEnergy * order[order.size() / 2];
  std::vector<float> columns(input.values.size());
  for (size_t row = 0; row < input.rows; ++row) {
    const float factor = energies[row] > most ? std::sqrt(most / energies[row]) : 1.0f;
    for (size_t i = 0; i < input.cols; ++i) {
      columns[i * input.rows + row] = factor * input.row(row)[i];
    }
  }
  return columns;
}

// On and left of the diagonal; the rest is mirrored in the end.
void gather(Gathered& gathered, const Matrix& input, bool held, JobContext& job) {
  const std::vector<float> columns = cappedColumns(input);
  const size_t n = input.cols;
  std::vector<float>& sums = gathered.moments[held];
  sums.resize(n * n);
  gathered.momentTokens[held] += input.rows;
  job.parallelFor(n, kGrainMoments, [&](size_t begin, size_t end) {
    std::vector<float> products((end - begin) * end);
    cpuKernels().gemm({.a = &columns[begin * input.rows],
                       .aStride = input.rows,
                       .b = columns.data(),
                       .bStride = input.rows,
                       .c = products.data(),
                       .cStride = end,
                       .m = end - begin,
                       .n = end,
                       .k = input.rows});
    for (size_t row = begin; row < end; ++row)
      cpuKernels().add(&sums[row * n], &sums[row * n], &products[(row - begin) * end], end);
  });
}

std::shared_ptr<const Moments> momentsOf(Gathered& gathered, size_t columns) {
  for (int held = 0; held < 2; ++held) {
    std::vector<float>& sums = gathered.moments[held];
    const float factor = 1.0f / float(std::max<uint64_t>(1, gathered.momentTokens[held]));
    for (size_t i = 0; i < columns; ++i) {
      for (size_t j = 0; j <= i; ++j)
        sums[j * columns + i] = sums[i * columns + j] = sums[i * columns + j] * factor;
    }
  }
  return Moments::of(columns, std::move(gathered.moments[0]), std::move(gathered.moments[1]),
                     gathered.momentTokens[0], gathered.momentTokens[1]);
}

TensorStatistics statisticsOf(const Gathered& gathered) {
  TensorStatistics statistics;
  statistics.tokens = gathered.tokens;
  statistics.sumSquares.assign(gathered.squares.begin(), gathered.squares.end());
  statistics.sumSizes.assign(gathered.sizes.begin(), gathered.sizes.end());
  statistics.largest = gathered.largest;
  return statistics;
}

// One pass over the text, block by block.
class Pass {
 public:
  // Takes what `statistics` are missing: the moments of an input, whose name is its first weight.
  using Keep = std::function<Result<std::shared_ptr<const Moments>>(
      const std::string& name, std::shared_ptr<const Moments>)>;

  Pass(const Variant& variant, const Chunks& chunks, const CalibrateOptions& options)
      : m_variant(variant),
        m_chunks(chunks),
        m_options(options),
        m_forward(variant),
        m_inputs(inputsOf(m_forward.graph(), variant.model())) {
    for (Input& input : m_inputs) {
      for (const size_t weight : input.weights) m_inputOf[weight] = &input;
    }
  }

  const std::vector<Input>& inputs() const { return m_inputs; }

  Result<std::map<std::string, TensorStatistics>> run(const Keep& keep, JobContext& job) {
    const size_t length = m_options.chunkTokens;
    const size_t count = m_chunks.held.size();
    const int blocks = int(m_forward.graph().blocks);
    job.begin(m_chunks.tokens.size() * size_t(blocks + 1), "tokens × layers");
    std::vector<Matrix> streams;
    for (size_t i = 0; i < count; ++i) {
      TRY(Matrix stream,
          m_forward.embed(std::span(m_chunks.tokens).subspan(i * length, length), job));
      streams.push_back(std::move(stream));
    }
    std::map<std::string, TensorStatistics> tensors;
    for (int block = 0; block <= blocks; ++block) {
      job.step(block < blocks ? strCat("block ", block) : "head");
      for (size_t i = 0; i < count; ++i) {
        TRY(job.checkpoint());
        TRY(block < blocks ? runBlock(block, i, streams[i], job) : runHead(i, streams[i], job));
        job.advance(length);
      }
      TRY(finish(tensors, keep));
    }
    return tensors;
  }

 private:
  OpTap tap(size_t chunk, JobContext& job) {
    return [this, chunk, &job](const Op& op, const OpInputs& inputs) {
      if (op.kind != OpKind::Linear) return;
      const auto tensor = size_t(op.weight);
      const Input& from = *m_inputOf.at(tensor);
      if (from.weights.front() != tensor) return;
      Gathered& gathered = m_gathered[&from];
      accumulate(gathered, *inputs.input, job);
      if (m_options.moments) gather(gathered, *inputs.input, m_chunks.held[chunk], job);
    };
  }

  Result<void> runBlock(int block, size_t chunk, Matrix& stream, JobContext& job) {
    const std::vector<Segment> segments = {{.tokens = m_options.chunkTokens}};
    return m_forward.blocks(block, block + 1, stream, segments, job, tap(chunk, job));
  }

  Result<void> runHead(size_t chunk, const Matrix& stream, JobContext& job) {
    std::vector<uint32_t> rows(stream.rows);
    for (size_t row = 0; row < rows.size(); ++row) rows[row] = uint32_t(row);
    for (size_t row = 0; row < rows.size(); row += kHeadRows) {
      TRY(job.checkpoint());
      const size_t count = std::min(kHeadRows, rows.size() - row);
      TRY(m_forward.head(stream, std::span(rows).subspan(row, count), job, tap(chunk, job)));
    }
    return {};
  }

  // What was gathered goes where it belongs, in the order of inputs.
  Result<void> finish(std::map<std::string, TensorStatistics>& tensors, const Keep& keep) {
    for (const Input& input : m_inputs) {
      const auto found = m_gathered.find(&input);
      if (found == m_gathered.end()) continue;
      TensorStatistics statistics = statisticsOf(found->second);
      if (m_options.moments) {
        TRY(statistics.moments,
            keep(nameOfTensor(input.weights.front()), momentsOf(found->second, input.columns)));
      }
      for (const size_t weight : input.weights) tensors[nameOfTensor(weight)] = statistics;
      m_gathered.erase(found);
    }
    return {};
  }

  const std::string& nameOfTensor(size_t tensor) const {
    return m_variant.model().tensors()[tensor].name;
  }

  const Variant& m_variant;
  const Chunks& m_chunks;
  const CalibrateOptions& m_options;
  Forward m_forward;
  std::vector<Input> m_inputs;
  std::map<size_t, const Input*> m_inputOf;  // by weight
  std::map<const Input*, Gathered> m_gathered;
};

Calibration outlineOf(const Chunks& chunks, const CalibrateOptions& options) {
  Calibration outline;
  outline.sources = chunks.sources;
  outline.chunks = uint32_t(chunks.held.size());
  outline.chunkTokens = options.chunkTokens;
  outline.shingles = chunks.shingles;
  return outline;
}

}  // namespace

std::shared_ptr<const Moments> Moments::of(size_t columns, std::vector<float> used,
                                           std::vector<float> held, uint64_t usedTokens,
                                           uint64_t heldTokens) {
  CHECK(used.size() == columns * columns && held.size() == used.size());
  struct Matrices {
    std::vector<float> used, held;
  };
  auto storage = std::make_shared<const Matrices>(Matrices{std::move(used), std::move(held)});
  auto moments = std::make_shared<Moments>();
  moments->columns = columns;
  moments->used = storage->used;
  moments->held = storage->held;
  moments->usedTokens = usedTokens;
  moments->heldTokens = heldTokens;
  moments->storage = std::move(storage);
  return moments;
}

std::vector<float> TensorStatistics::importance() const {
  std::vector<float> result(sumSquares.size(), 1.0f);
  if (tokens == 0) return result;
  for (size_t i = 0; i < result.size(); ++i) result[i] = sumSquares[i] / float(tokens);
  return result;
}

const TensorStatistics* Calibration::find(const std::string& tensor) const {
  const auto found = tensors.find(tensor);
  return found == tensors.end() ? nullptr : &found->second;
}

bool Calibration::hasMoments() const {
  return std::all_of(tensors.begin(), tensors.end(),
                     [](const auto& entry) { return entry.second.moments != nullptr; });
}

std::string hashOf(const Calibration& calibration) {
  Sha256 hash;
  for (const auto& [name, statistics] : calibration.tensors) {
    hash.update(name);
    const uint64_t sizes[] = {statistics.sumSquares.size(), statistics.tokens};
    hash.update(std::as_bytes(std::span(sizes)));
    for (const auto* sums : {&statistics.sumSquares, &statistics.sumSizes, &statistics.largest})
      hash.update(std::as_bytes(std::span(*sums)));
    if (statistics.moments == nullptr) continue;
    for (const auto& matrix : {statistics.moments->used, statistics.moments->held}) {
      const auto bytes = std::as_bytes(matrix);
      hash.update(bytes.first(std::min(bytes.size(), kHashedBytes)));
    }
  }
  return hash.hex();
}

Result<Calibration> calibrate(const Variant& variant, const Tokenizer& tokenizer,
                              std::span<const CorpusPart> corpus, const CalibrateOptions& options,
                              JobContext& job) {
  TRY(const Chunks chunks, chunksOf(tokenizer, corpus, options));
  Calibration result = outlineOf(chunks, options);
  Pass pass(variant, chunks, options);
  const auto keep = [](const std::string&, std::shared_ptr<const Moments> moments) {
    return Result<std::shared_ptr<const Moments>>(std::move(moments));
  };
  TRY(result.tensors, pass.run(keep, job));
  result.hash = hashOf(result);
  return result;
}

Result<Calibration> calibrateInto(const std::filesystem::path& path, const Variant& variant,
                                  const Tokenizer& tokenizer, std::span<const CorpusPart> corpus,
                                  const CalibrateOptions& options, JobContext& job) {
  TRY(const Chunks chunks, chunksOf(tokenizer, corpus, options));
  Calibration outline = outlineOf(chunks, options);
  Pass pass(variant, chunks, options);
  MomentsOutline moments;
  for (size_t chunk = 0; chunk < chunks.held.size(); ++chunk)
    (chunks.held[chunk] ? moments.heldTokens : moments.usedTokens) += options.chunkTokens;
  for (const Input& input : pass.inputs()) {
    MomentsOutline::Input& entry = moments.inputs.emplace_back();
    entry.columns = input.columns;
    for (const size_t weight : input.weights) {
      entry.weights.push_back(variant.model().tensors()[weight].name);
      TensorStatistics& statistics = outline.tensors[entry.weights.back()];
      statistics.sumSquares.resize(input.columns);
      statistics.sumSizes.resize(input.columns);
      statistics.largest.resize(input.columns);
    }
  }
  if (!options.moments) moments.inputs.clear();
  TRY(auto writer, CalibrationWriter::create(path, outline, moments));
  const auto keep =
      [&](const std::string&,
          const std::shared_ptr<const Moments>& each) -> Result<std::shared_ptr<const Moments>> {
    TRY(writer.add(*each));
    return std::shared_ptr<const Moments>();
  };
  TRY(outline.tensors, pass.run(keep, job));
  TRY(writer.finish(outline));
  return loadCalibration(path);
}

}  // namespace bitloom
