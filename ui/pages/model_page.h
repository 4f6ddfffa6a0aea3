// SPDX-License-Identifier: GPL-3.0-or-later
// What is open: facts, where the bytes are, all tensors, all metadata.
#pragma once
#include <QLabel>
#include <QWidget>

#include "ui/document.h"

class QFormLayout;
class QStackedLayout;

namespace bitloom {

class MetadataTable;
class RoleBars;
class Table;
class TensorTable;

class ModelPage : public QWidget {
  Q_OBJECT
 public:
  explicit ModelPage(Document& document, QWidget* parent = nullptr);

 signals:
  void openWanted();

 private:
  QWidget* buildEmpty();
  QWidget* buildFacts();
  QWidget* buildTables();
  void refresh();
  void addFact(const QString& name, const QString& value);

  Document& m_document;
  QStackedLayout* m_stack;
  QFormLayout* m_facts = nullptr;
  QLabel* m_warnings = nullptr;
  RoleBars* m_bars = nullptr;
  TensorTable* m_tensors;
  MetadataTable* m_metadata;
  Table* m_tensorView = nullptr;
  Table* m_metadataView = nullptr;
};

}  // namespace bitloom
