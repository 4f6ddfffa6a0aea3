// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/pages/model_page.h"

#include <QApplication>
#include <QClipboard>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLineEdit>
#include <QSplitter>
#include <QStackedLayout>
#include <QVBoxLayout>
#include <algorithm>
#include <map>

#include "ui/format.h"
#include "ui/models/metadata_table.h"
#include "ui/models/tensor_table.h"
#include "ui/theme.h"
#include "ui/widgets/card.h"
#include "ui/widgets/role_bars.h"
#include "ui/widgets/table.h"

namespace bitloom {
namespace {

constexpr int kFactsWidth = 360;

QString asText(std::string_view text) {
  return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

// The graph's role, or what the tensor's name says when there is no graph.
std::vector<std::string> rolesOf(const Document& document) {
  std::vector<std::string> roles;
  const auto tensors = document.model().tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    roles.push_back(document.canInfer() ? document.graph().parts[i].role : std::string());
  }
  return roles;
}

QHBoxLayout* headingRow(const QString& title, QLineEdit* filter, QPushButton* button) {
  auto* row = new QHBoxLayout;
  row->addWidget(makeLabel(title, "heading"));
  row->addStretch();
  if (button != nullptr) row->addWidget(button);
  row->addWidget(filter);
  return row;
}

}  // namespace

ModelPage::ModelPage(Document& document, QWidget* parent)
    : QWidget(parent),
      m_document(document),
      m_stack(new QStackedLayout(this)),
      m_tensors(new TensorTable(this)),
      m_metadata(new MetadataTable(this)) {
  setObjectName("modelPage");
  m_stack->addWidget(buildEmpty());
  auto* page = new QWidget(this);
  auto* layout = new QHBoxLayout(page);
  layout->setContentsMargins(kMargin, kMargin, kMargin, kMargin);
  layout->setSpacing(kMargin);
  layout->addWidget(buildFacts());
  layout->addWidget(buildTables(), 1);
  m_stack->addWidget(page);
  connect(&document, &Document::modelChanged, this, &ModelPage::refresh);
  refresh();
}

QWidget* ModelPage::buildEmpty() {
  auto* page = new QWidget(this);
  auto* layout = new QVBoxLayout(page);
  layout->addStretch();
  layout->addWidget(makeLabel(tr("No model is open"), "title", page), 0, Qt::AlignHCenter);
  layout->addWidget(
      makeLabel(tr("Drop a GGUF file or any part of a split set on the window."), "faint", page), 0,
      Qt::AlignHCenter);
  auto* open = makeButton(tr("Open a model…"), "openModelButton", Rank::Primary, page);
  layout->addSpacing(kGap);
  layout->addWidget(open, 0, Qt::AlignHCenter);
  layout->addStretch();
  connect(open, &QPushButton::clicked, this, &ModelPage::openWanted);
  return page;
}

QWidget* ModelPage::buildFacts() {
  auto* column = new QWidget(this);
  column->setFixedWidth(kFactsWidth);
  auto* layout = new QVBoxLayout(column);
  layout->setContentsMargins(0, 0, 0, 0);
  layout->setSpacing(kMargin);
  auto* facts = new Card(tr("Facts"), column);
  facts->setObjectName("factsCard");
  m_facts = new QFormLayout;
  m_facts->setLabelAlignment(Qt::AlignLeft);
  m_facts->setHorizontalSpacing(16);
  m_facts->setVerticalSpacing(6);
  facts->body()->addLayout(m_facts);
  m_warnings = makeLabel({}, "warn", facts);
  m_warnings->setObjectName("warningsLabel");
  m_warnings->setWordWrap(true);
  m_warnings->setTextInteractionFlags(Qt::TextSelectableByMouse);
  facts->body()->addWidget(m_warnings);
  layout->addWidget(facts);
  auto* sizes = new Card(tr("Where the bytes are"), column);
  m_bars = new RoleBars(sizes);
  m_bars->setObjectName("roleBars");
  sizes->body()->addWidget(m_bars);
  layout->addWidget(sizes);
  layout->addStretch();
  return column;
}

QWidget* ModelPage::buildTables() {
  auto* split = new QSplitter(Qt::Vertical, this);
  split->setHandleWidth(kMargin);
  split->setChildrenCollapsible(false);
  auto* tensors = new Card({}, split);
  m_tensorView = new Table(m_tensors, "tensorTable", tensors);
  m_tensorView->setAccessibleName(tr("Tensors"));
  tensors->body()->addLayout(headingRow(
      tr("Tensors"), m_tensorView->makeFilter(tr("Filter tensors"), "tensorFilter"), nullptr));
  tensors->body()->addWidget(m_tensorView);
  auto* metadata = new Card({}, split);
  m_metadataView = new Table(m_metadata, "metadataTable", metadata);
  m_metadataView->setAccessibleName(tr("Metadata"));
  auto* copy = makeButton(tr("Copy value"), "copyValueButton", Rank::Link, metadata);
  connect(copy, &QPushButton::clicked, this, [this] {
    QStringList values;
    for (const int row : m_metadataView->selectedRows()) {
      values << m_metadata->index(row, MetadataTable::Value).data(Qt::UserRole).toString();
    }
    QApplication::clipboard()->setText(values.join('\n'));
  });
  metadata->body()->addLayout(headingRow(
      tr("Metadata"), m_metadataView->makeFilter(tr("Filter metadata"), "metadataFilter"), copy));
  metadata->body()->addWidget(m_metadataView);
  split->addWidget(tensors);
  split->addWidget(metadata);
  split->setStretchFactor(0, 3);
  split->setStretchFactor(1, 2);
  return split;
}

void ModelPage::addFact(const QString& name, const QString& value) {
  if (value.isEmpty()) return;
  auto* label = makeLabel(value);
  label->setWordWrap(true);
  label->setTextInteractionFlags(Qt::TextSelectableByMouse);
  m_facts->addRow(makeLabel(name, "faint"), label);
}

void ModelPage::refresh() {
  m_stack->setCurrentIndex(m_document.isOpen() ? 1 : 0);
  if (!m_document.isOpen()) return;
  const Model& model = m_document.model();
  while (m_facts->rowCount() > 0) m_facts->removeRow(0);
  addFact(tr("architecture"),
          asText(model.metadata().stringOf("general.architecture").value_or("")));
  QStringList warnings;
  if (m_document.canInfer()) {
    const Graph& graph = m_document.graph();
    addFact(tr("blocks"), QString::number(graph.blocks));
    addFact(tr("width"), formatGrouped(graph.width));
    uint32_t heads = 0;
    for (const Op& op : graph.ops) heads = std::max(heads, op.heads);
    addFact(tr("heads"), tr("%1 for queries, %2 for keys and values, %3 wide")
                             .arg(heads)
                             .arg(graph.kvHeads)
                             .arg(graph.headWidth));
    addFact(tr("context"), tr("%1 tokens").arg(formatGrouped(graph.contextLength)));
    addFact(tr("vocabulary"), tr("%1 tokens%2")
                                  .arg(formatGrouped(graph.vocabulary),
                                       graph.tiedHead ? tr(", head tied") : QString()));
  } else {
    warnings << m_document.inferenceProblem();
  }
  addFact(tr("weights"), formatCount(model.weights()));
  addFact(tr("source"), tr("%1, %2").arg(QString::fromStdString(model.sourceLabel()),
                                         formatBpw(model.bitsPerWeight())));
  addFact(tr("file"), tr("%1 (%2)").arg(formatGB(model.fileBytes()), formatGiB(model.fileBytes())));
  if (const Tokenizer* tokenizer = m_document.tokenizer()) {
    addFact(
        tr("tokenizer"),
        tr("%1, splits as %2").arg(asText(tokenizer->model()), asText(tokenizer->preTokenizer())));
    for (const std::string& warning : tokenizer->warnings())
      warnings << QString::fromStdString(warning);
  }
  addFact(tr("chat"), asText(m_document.chatTemplate().source()));
  for (const std::string& warning : model.warnings()) warnings << QString::fromStdString(warning);
  m_warnings->setText(warnings.join('\n'));
  m_warnings->setVisible(!warnings.isEmpty());

  const std::vector<std::string> roles = rolesOf(m_document);
  std::map<QString, uint64_t> bytes;
  for (size_t i = 0; i < roles.size(); ++i) {
    const QString role = roles[i].empty() ? tr("other") : QString::fromStdString(roles[i]);
    bytes[role] += model.tensors()[i].bytes.size();
  }
  std::vector<RoleBars::Row> rows;
  for (const auto& [role, size] : bytes) rows.push_back({role, size});
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  m_bars->setRows(std::move(rows));
  m_tensors->setTensors(m_document.sharedModel(), roles);
  m_metadata->setMetadata(m_document.sharedModel());
  m_tensorView->resizeColumnsToContents();
  m_metadataView->resizeColumnsToContents();
}

}  // namespace bitloom
