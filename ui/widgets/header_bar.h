// SPDX-License-Identifier: GPL-3.0-or-later
// The head of every page: which model, how large the plan is, what it costs in quality, on what it
// computes.
#pragma once
#include <QLabel>
#include <QWidget>

#include "ui/document.h"

class QHBoxLayout;

namespace bitloom {

class HeaderBar : public QWidget {
  Q_OBJECT
 public:
  explicit HeaderBar(Document& document, QWidget* parent = nullptr);

 private:
  struct Pair {
    QLabel* above;
    QLabel* below;
  };
  Pair addPair(QHBoxLayout* layout, const char* name, const char* tone, Qt::Alignment alignment);
  void showModel();
  void showPlan();
  void showDamage();

  Document& m_document;
  Pair m_model;
  Pair m_size;
  Pair m_damage;
};

}  // namespace bitloom
