// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/chat_column.h"

#include <QFileDialog>
#include <QHBoxLayout>
#include <QVBoxLayout>
#include <algorithm>
#include <filesystem>

#include "ui/format.h"
#include "ui/theme.h"

namespace bitloom {

// Tokens on their way from the job's thread to the window's.
struct ChatColumn::Stream {
  std::mutex mutex;
  std::vector<ChatToken> pending;
  std::vector<TokenId> prompt;  // these two are there before the first token
  std::shared_ptr<const Variant> variant;
};

// What a column's job works with; nothing of it belongs to the window.
struct ChatColumn::Question {
  std::shared_ptr<ModelWork> work;
  WeightCache& weights;
  std::shared_ptr<Backends> backends;
  std::string device;          // UUID; empty: the CPU
  std::filesystem::path file;  // another model than the document's; empty: none
  Recipe recipe;
  ChatTemplate chat;
  std::vector<ChatMessage> conversation;
  ChatOptions options;

  Result<std::shared_ptr<const Variant>> variant(JobContext& job) const;
  Result<ChatAnswer> answerInto(Stream& stream, JobContext& job) const;
};

Result<std::shared_ptr<const Variant>> ChatColumn::Question::variant(JobContext& job) const {
  auto source = work->model;
  if (!file.empty()) {
    TRY(source, Model::open(file));
  }
  struct Seen {
    std::shared_ptr<const Calibration> statistics;  // borrowed by the variant
    Variant variant;
  };
  TRY(auto plain, Variant::create(source, weights));
  if (!device.empty()) {
    TRY(auto backend, backends->open(device));
    plain.setBackend(std::move(backend));
  }
  auto seen = std::make_shared<Seen>(Seen{nullptr, std::move(plain)});
  if (!recipe.rules.empty()) {
    TRY(auto plan, resolve(recipe, *source));
    TRY(seen->statistics, work->calibrationFor(plan, job));
    seen->variant.setPlan(plan, seen->statistics.get());
  }
  return std::shared_ptr<const Variant>(seen, &seen->variant);
}

Result<ChatAnswer> ChatColumn::Question::answerInto(Stream& stream, JobContext& job) const {
  TRY(auto seen, variant(job));
  TRY(auto tokenizer, Tokenizer::create(seen->model().metadata()));
  TRY(auto text, chat.render(conversation, true));
  const auto ids = tokenizer.encode(text, true);
  {
    std::lock_guard lock(stream.mutex);
    stream.prompt = ids;
    stream.variant = seen;
  }
  auto sink = [&stream](const ChatToken& token) {
    std::lock_guard lock(stream.mutex);
    stream.pending.push_back(token);
  };
  return bitloom::answer(*seen, tokenizer, ids, options, sink, job);
}

namespace {

QString topTable(const std::vector<TokenProbability>& reference,
                 const std::vector<TokenProbability>& own, const Tokenizer& tokenizer,
                 const QString& left, const QString& right) {
  QString rows;
  for (const TokenProbability& entry : reference) {
    double mine = -1;
    for (const TokenProbability& other : own) {
      if (other.id == entry.id) mine = other.probability;
    }
    rows +=
        QStringLiteral(
            "<tr><td>%1&nbsp;&nbsp;</td><td align=right>%2&nbsp;&nbsp;</td><td "
            "align=right>%3</td></tr>")
            .arg(QString::fromStdString(validUtf8(tokenizer.piece(entry.id, true))).toHtmlEscaped(),
                 formatPercent(entry.probability),
                 mine < 0 ? QObject::tr("below its top 5") : formatPercent(mine));
  }
  return QStringLiteral(
             "<table><tr><td></td><td align=right><i>%1</i>&nbsp;&nbsp;</td><td "
             "align=right><i>%2</i></td></tr>%3</table>")
      .arg(left.toHtmlEscaped(), right.toHtmlEscaped(), rows);
}

TranscriptMessage userMessage(const QString& text) {
  return {.fromUser = true, .tokens = {{.text = text}}};
}

}  // namespace

ChatColumn::ChatColumn(Document& document, Source source, const QString& codec, QWidget* parent)
    : QFrame(parent), m_document(document), m_source(source), m_codec(codec) {
  setProperty("card", true);
  m_choice = new QComboBox(this);
  m_choice->setObjectName(QStringLiteral("sourceComboBox"));
  m_choice->setAccessibleName(tr("What answers in this column"));
  m_choice->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_device = new QComboBox(this);
  m_device->setObjectName(QStringLiteral("deviceComboBox"));
  m_device->setAccessibleName(tr("Where this column is computed"));
  m_device->setSizeAdjustPolicy(QComboBox::AdjustToContents);
  m_hidden = new QLabel(this);
  m_hidden->hide();
  m_figures = new QLabel(this);
  m_figures->setObjectName(QStringLiteral("figuresLabel"));
  m_detail = new QLabel(this);
  m_detail->setObjectName(QStringLiteral("detailLabel"));
  m_footer = new QLabel(this);
  m_footer->setObjectName(QStringLiteral("footerLabel"));
  for (QLabel* label : {m_figures, m_detail, m_footer}) label->setProperty("tone", "faint");
  m_transcript = new TranscriptView(this);
  m_transcript->setObjectName(QStringLiteral("transcriptView"));
  m_transcript->setAccessibleName(tr("Conversation"));
  m_transcript->setPlaceholder(tr("Ask something below: both columns answer the same prompt."));

  auto* top = new QHBoxLayout;
  top->addWidget(m_choice);
  top->addWidget(m_device);
  top->addWidget(m_hidden);
  top->addStretch(1);
  top->setSpacing(8);
  auto* below = new QHBoxLayout;
  below->addWidget(m_detail, 1);
  below->addWidget(m_figures);
  auto* head = new QVBoxLayout;
  head->setContentsMargins(kMargin, 12, kMargin, 10);
  head->setSpacing(6);
  head->addLayout(top);
  head->addLayout(below);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(1, 1, 1, 1);
  layout->setSpacing(0);
  layout->addLayout(head);
  auto line = [this] {
    auto* rule = new QFrame(this);
    rule->setProperty("rule", true);
    rule->setFixedHeight(1);
    return rule;
  };
  layout->addWidget(line());
  layout->addWidget(m_transcript, 1);
  layout->addWidget(line());
  m_footer->setContentsMargins(kMargin, 10, kMargin, 12);
  layout->addWidget(m_footer);

  connect(m_transcript, &TranscriptView::tokenAsked, this, [this](size_t message, size_t token) {
    if (message + 1 == m_transcript->messages().size()) emit tokenAsked(token);
  });
  connect(&document.devices(), &Devices::found, this, &ChatColumn::fillDevices);
  connect(m_device, &QComboBox::activated, this, [this](int index) {
    m_deviceId = m_device->itemData(index).toString();
    m_answer.note.clear();
    showDetail();
  });
  m_pull.setInterval(33);
  connect(&m_pull, &QTimer::timeout, this, &ChatColumn::pull);
  connect(m_choice, &QComboBox::activated, this, [this](int index) {
    const Source chosen = Source(m_choice->itemData(index).toInt());
    if (chosen == Source::File) {
      const QString path = QFileDialog::getOpenFileName(this, tr("Open a model for this column"),
                                                        {}, tr("GGUF models (*.gguf)"));
      if (!path.isEmpty()) m_file = path;
      if (m_file.isEmpty()) return fillChoices();
    }
    choose(chosen, m_choice->itemData(index, Qt::UserRole + 1).toString());
  });
  fillChoices();
  fillDevices();
}

// The CPU, and what else computes here.
void ChatColumn::fillDevices() {
  m_device->clear();
  m_device->addItem(tr("CPU"));
  for (const DeviceInfo& device : m_document.devices().all()) {
    const QString id = QString::fromStdString(device.uuid);
    m_device->addItem(tr("Vulkan · %1").arg(deviceName(device)), id);
    const int index = m_device->count() - 1;
    m_device->setItemData(index, describeDevice(device), Qt::ToolTipRole);
    if (id == m_deviceId) m_device->setCurrentIndex(index);
  }
  const QString problem = m_document.devices().problem();
  m_device->setToolTip(problem.isEmpty()
                           ? tr("Where this column is computed. On a device everything is "
                                "computed in f32, from weights that stay encoded.")
                           : problem);
  showDetail();
}

// How the last answer was computed, or will be.
void ChatColumn::showDetail() {
  const QString note = QString::fromStdString(m_answer.note);
  m_detail->setText(note.isEmpty() ? tr("KV cache f16 · %1").arg(m_device->currentText()) : note);
  m_detail->setToolTip(note);
}

void ChatColumn::reload() {
  stop();
  m_job = 0;
  m_pull.stop();
  m_choice->setEnabled(true);
  m_device->setEnabled(true);
  m_stream.reset();  // what is still under way belongs to the model before
  clear();
  fillChoices();
}

void ChatColumn::choose(Source source, const QString& codec) {
  m_source = source;
  m_codec = codec;
  m_variant.reset();
  fillChoices();
  showFigures();
}

void ChatColumn::swapWith(ChatColumn& other) {
  std::swap(m_source, other.m_source);
  std::swap(m_codec, other.m_codec);
  std::swap(m_file, other.m_file);
  std::swap(m_deviceId, other.m_deviceId);
  std::swap(m_variant, other.m_variant);
  std::swap(m_messages, other.m_messages);
  std::swap(m_hasExchange, other.m_hasExchange);
  std::swap(m_prompt, other.m_prompt);
  std::swap(m_answer, other.m_answer);
  std::swap(m_answeredBy, other.m_answeredBy);
  auto messages = m_transcript->messages();
  m_transcript->setMessages(other.m_transcript->messages());
  other.m_transcript->setMessages(std::move(messages));
  const QString footer = m_footer->text();
  m_footer->setText(other.m_footer->text());
  other.m_footer->setText(footer);
  for (ChatColumn* column : {this, &other}) {
    column->fillChoices();
    column->fillDevices();
    column->showFigures();
  }
}

void ChatColumn::fillChoices() {
  const QSignalBlocker blocker(m_choice);
  m_choice->clear();
  auto add = [this](const QString& text, Source source, const QString& codec = {}) {
    m_choice->addItem(text, int(source));
    m_choice->setItemData(m_choice->count() - 1, codec, Qt::UserRole + 1);
    if (source == m_source && codec == m_codec) m_choice->setCurrentIndex(m_choice->count() - 1);
  };
  if (!m_document.isOpen()) {
    add(tr("No model"), m_source, m_codec);
    return;
  }
  add(tr("%1 (reference)").arg(QString::fromStdString(m_document.model().sourceLabel())),
      Source::Reference);
  add(tr("This plan · %1").arg(formatBpw(m_document.plan().bitsPerWeight)), Source::Plan);
  std::vector<const Codec*> codecs = m_document.choices();
  const Codec* own = m_source == Source::Codec ? findCodec(m_codec.toStdString()) : nullptr;
  if (own != nullptr && std::find(codecs.begin(), codecs.end(), own) == codecs.end()) {
    codecs.push_back(own);  // wider than the source
  }
  for (const Codec* codec : codecs) {
    const QString name = QString::fromUtf8(codec->name.data(), qsizetype(codec->name.size()));
    add(tr("Uniform %1")
            .arg(QString::fromUtf8(codec->title.data(), qsizetype(codec->title.size()))),
        Source::Codec, name);
  }
  add(m_file.isEmpty() ? tr("A file…") : m_file.section(QLatin1Char('/'), -1), Source::File);
}

QString ChatColumn::title() const { return m_choice->currentText(); }

void ChatColumn::setHiddenTitle(const QString& hidden) {
  m_hiddenTitle = hidden;
  m_hidden->setText(QStringLiteral("<b>%1</b>").arg(hidden));
  m_hidden->setVisible(!hidden.isEmpty());
  m_choice->setVisible(hidden.isEmpty());
  m_device->setVisible(hidden.isEmpty());
  m_detail->setVisible(hidden.isEmpty());
  m_figures->setVisible(hidden.isEmpty());  // speed and size would give the column away
}

Result<Recipe> ChatColumn::recipe() const {
  if (m_source == Source::Plan) return m_document.recipe();
  if (m_source != Source::Codec) return Recipe{.name = "source"};
  const Codec* codec = findCodec(m_codec.toStdString());
  if (codec == nullptr) {
    return makeError(ErrorCode::InvalidArgument, "There is no codec \"", m_codec.toStdString(),
                     "\".");
  }
  return uniformRecipe(*codec);
}

void ChatColumn::ask(const QString& prompt, const QString& system, const ChatOptions& options) {
  auto wanted = recipe();
  if (!wanted) return emit failed(QString::fromStdString(wanted.error().message));
  m_messages.push_back({"user", prompt.toStdString()});
  m_hasExchange = true;
  std::vector<ChatMessage> conversation = m_messages;
  if (!system.isEmpty())
    conversation.insert(conversation.begin(), {"system", system.toStdString()});
  auto messages = m_transcript->messages();
  messages.push_back(userMessage(prompt));
  messages.push_back({});
  m_transcript->setMessages(std::move(messages));
  m_footer->setText(tr("reading the prompt…"));
  m_figures->clear();
  m_answer = {};
  m_prompt.clear();
  m_variant.reset();
  m_answeredBy = title();

  auto stream = std::make_shared<Stream>();
  m_stream = stream;
  m_choice->setEnabled(false);
  m_device->setEnabled(false);
  showDetail();
  const bool other = m_source == Source::File;
  auto question = std::make_shared<const Question>(
      Question{m_document.work(), m_document.weights(), m_document.devices().backends(),
               m_deviceId.toStdString(), other ? m_file.toStdString() : std::string(),
               std::move(*wanted), m_document.chatTemplate(), std::move(conversation), options});
  m_job = m_document.jobs().start<ChatAnswer>(
      tr("Chat · %1").arg(title()), JobPriority::Chat, this,
      [question, stream](JobContext& job) { return question->answerInto(*stream, job); },
      [this, stream](Result<ChatAnswer> answer) {
        if (stream == m_stream) finish(std::move(answer));
      },
      true);
  m_pull.start();
}

void ChatColumn::pull() {
  if (!m_stream) return;
  std::vector<ChatToken> fresh;
  {
    std::lock_guard lock(m_stream->mutex);
    fresh.swap(m_stream->pending);
    m_prompt = m_stream->prompt;
    m_variant = m_stream->variant;
  }
  if (fresh.empty()) return;
  auto messages = m_transcript->messages();
  if (messages.empty()) return;
  for (const ChatToken& token : fresh) {
    messages.back().tokens.push_back({.text = QString::fromStdString(token.text)});
    m_answer.tokens.push_back(token);
    m_answer.text += token.text;
  }
  m_transcript->setMessages(std::move(messages));
  m_footer->setText(tr("%n token(s)", nullptr, int(m_answer.tokens.size())));
}

void ChatColumn::finish(Result<ChatAnswer> answer) {
  pull();
  m_pull.stop();
  m_stream.reset();
  m_job = 0;
  m_choice->setEnabled(true);
  m_device->setEnabled(true);
  if (answer) {
    m_answer = std::move(*answer);
    showAnswer(m_answer.tokens);  // the last token may have got the rest of a character
    showFigures();
    showDetail();
    setFooter({});
  } else if (answer.error().code == ErrorCode::Cancelled) {
    m_footer->setText(tr("stopped after %n token(s)", nullptr, int(m_answer.tokens.size())));
  } else {
    m_messages.push_back({"assistant", {}});
    dropLastExchange();  // the next prompt shall not meet the same end
    m_answer = {};
    m_footer->clear();
    emit failed(QString::fromStdString(answer.error().message));
  }
  if (m_hasExchange) m_messages.push_back({"assistant", m_answer.text});
  emit answered();
}

// The last message anew, without marks.
void ChatColumn::showAnswer(const std::vector<ChatToken>& tokens) {
  auto messages = m_transcript->messages();
  if (messages.empty()) return;
  messages.back().tokens.clear();
  for (const ChatToken& token : tokens) {
    messages.back().tokens.push_back({.text = QString::fromStdString(token.text)});
  }
  m_transcript->setMessages(std::move(messages));
}

void ChatColumn::stop() {
  if (m_job != 0) m_document.jobs().cancel(m_job);
}

void ChatColumn::clear() {
  m_messages.clear();
  m_hasExchange = false;
  m_answer = {};
  m_answeredBy.clear();
  m_prompt.clear();
  m_variant.reset();
  m_transcript->setMessages({});
  m_figures->clear();
  m_footer->clear();
}

void ChatColumn::dropLastExchange() {
  if (!m_hasExchange) return;
  m_hasExchange = false;
  auto messages = m_transcript->messages();
  for (int i = 0; i < 2 && !messages.empty(); ++i) messages.pop_back();
  for (int i = 0; i < 2 && !m_messages.empty(); ++i) m_messages.pop_back();
  m_transcript->setMessages(std::move(messages));
}

void ChatColumn::showFigures() {
  if (m_answer.tokens.empty() || !m_variant) return m_figures->clear();
  uint64_t bytes = m_answer.cacheBytes;
  bytes +=
      m_source == Source::Plan ? m_document.plan().tensorBytes : m_variant->model().fileBytes();
  if (m_source == Source::Codec) {
    const auto wanted = recipe();
    const auto plan = wanted ? resolve(*wanted, m_document.model()) : Result<Plan>(Plan{});
    if (plan) bytes = m_answer.cacheBytes + plan->tensorBytes;
  }
  m_figures->setText(tr("%1 tok/s · first token %2 · %3 · %4")
                         .arg(m_answer.tokensPerSecond, 0, 'f', 1)
                         .arg(formatDuration(m_answer.firstTokenSeconds), formatGB(bytes),
                              m_answer.onDevice ? tr("f32") : tr("8-bit")));
  if (m_answer.onDevice) {
    return m_figures->setToolTip(
        tr("Size: weights as stored plus KV cache.\n"
           "f32: a device decodes the weights and computes in f32."));
  }
  m_figures->setToolTip(
      tr("Size: weights as stored plus KV cache.\n"
         "8-bit: chat works on encoded weights and rounds activations to 8 bits, prompts to "
         "bfloat16 where the processor multiplies tiles. Against exact arithmetic that costs a "
         "mean KLD of 0.0006 (TQ3_1B4) to 0.003 (Q4_0). Scan, live probe and Prove do not round "
         "so: they keep 16 bits of mantissa or more."));
}

void ChatColumn::showComparison(const std::vector<ChatToken>& compared, int divergence,
                                const QString& leftTitle, const QString& rightTitle) {
  showAnswer(m_answer.tokens);  // the forced view may have shown another text
  mark(compared, divergence, leftTitle, rightTitle);
}

void ChatColumn::showForced(const std::vector<ChatToken>& scored, const QString& leftTitle,
                            const QString& rightTitle) {
  showAnswer(scored);
  mark(scored, -1, leftTitle, rightTitle);
}

void ChatColumn::mark(const std::vector<ChatToken>& compared, int divergence,
                      const QString& leftTitle, const QString& rightTitle) {
  auto messages = m_transcript->messages();
  if (messages.empty() || !m_document.tokenizer()) return;
  auto& tokens = messages.back().tokens;
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens[i].diverges = int(i) == divergence;
    if (i >= compared.size()) continue;
    tokens[i].kld = compared[i].kld;
    QString head = tokens[i].diverges ? tr("<b>token %1: first divergence</b>").arg(i + 1)
                                      : tr("<b>token %1</b>").arg(i + 1);
    tokens[i].tooltip =
        head +
        topTable(compared[i].referenceTop, compared[i].top, *m_document.tokenizer(), leftTitle,
                 rightTitle) +
        tr("KL %1 nats<br><i>Click: which tensor broke it</i>").arg(formatKld(compared[i].kld));
  }
  m_transcript->setMessages(std::move(messages));
}

void ChatColumn::setFooter(const QString& text) {
  const QString count = tr("%n token(s)", nullptr, int(m_answer.tokens.size()));
  m_footer->setText(text.isEmpty() ? count : text);
}

}  // namespace bitloom
