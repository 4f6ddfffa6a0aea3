// SPDX-License-Identifier: GPL-3.0-or-later
constexpr PanelCodec kPanel_tq3_1b8 = panelCodec<OneBitLayout<3, 8>>("tq3_1b8");
